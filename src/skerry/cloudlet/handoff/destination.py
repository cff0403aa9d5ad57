"""Handing a running VM over to another engine: the destination's side of one handoff.

The VM is built while pages arrive: memory flows into a QEMU that waits, the disk into its file. It runs when the
source asks for it, and not before. Nothing that comes is trusted: all of it is bounded, checked, and refused with the
reason, and what was built until then is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from skerry.cloudlet.handoff.batches import unpack
from skerry.cloudlet.handoff.inventory import Held, usable
from skerry.cloudlet.handoff.literals import Literals
from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.machine import Machine
from skerry.cloudlet.overlay.manifest import MOST_STATE
from skerry.cloudlet.overlay.rebuild import Piece
from skerry.cloudlet.overlay.segments import decompress
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.peer import wire
from skerry.cloudlet.peer.tickets import Ticket
from skerry.cloudlet.peer.wire import BadFrameError, Begin, Kind, Named, Offer, PeerConnection, Seen
from skerry.cloudlet.session import session as sessions
from skerry.cloudlet.session.session import Session
from skerry.cloudlet.vm.process import Vm, nic, same_generation, started
from skerry.cloudlet.vm.qemu import preflight
from skerry.cloudlet.vm.stream import MAGIC, StreamState
from skerry.common.errors import RefusedError, SkerryError

IDLE = 120.0  # seconds in which a source that is at work must send something
ARRIVING = "arriving"


def check(store: Store, offer: Offer, *, outbound: bool, most_mib: int) -> list[str]:
    """Whether this engine can take that VM; returns the offered overlays that it holds.

    Raises RefusedError, PreflightError with the reason.
    """
    base = _base(store, offer)
    machine = Machine.from_json(offer.machine)
    if base.machine != machine or base.disk_pages != offer.disk_pages:
        raise RefusedError("the VM is of another machine or disk than its base")
    if machine.memory_mib > most_mib:
        raise RefusedError(f"the VM has {machine.memory_mib} MiB of memory, {most_mib} are allowed here")
    if offer.card and offer.card.outbound and not outbound:
        raise RefusedError(
            "the VM may reach other hosts, and this engine does not allow that: 'serve --outbound' does"
        )
    if sessions.folder_of(store, offer.name).exists():
        raise RefusedError(
            f"there is a session '{offer.name}' already: 'handoff --rename' gives it another name"
        )
    preflight(machine, store.root / "qemu")
    return usable(store, offer.overlays)


def _base(store: Store, offer: Offer) -> Base:
    for base in store.bases():
        if base.id == offer.base:
            return base
    raise RefusedError(f"the base {offer.base[:16]} is not here: export it there and import it here first")


def receive(
    store: Store, link: PeerConnection, ticket: Ticket, begin: Begin, report: Callable[[str], None]
) -> Session:
    """Take the VM over: to its end, or not at all. Raises SkerryError, OSError, ValueError."""
    offer = ticket.offer
    base = _base(store, offer)
    head = bytes.fromhex(begin.head)
    if not head.startswith(MAGIC):
        raise BadFrameError("the begin of QEMU's stream is not QEMU's")
    folder = sessions.new_folder(store, offer.name)
    session = Session(
        offer.name, base.id, ticket.overlays[-1] if ticket.overlays else "", state=ARRIVING,
        owner=f"{os.getpid()} {started(os.getpid())}",
    )  # fmt: skip
    devices = same_generation(offer.generation)
    if offer.card:
        session.mac, session.address, session.outbound = (
            offer.card.mac,
            offer.card.address,
            offer.card.outbound,
        )
        session.ports = {sessions.free_port(): port for port in offer.card.ports}
        devices += nic(session.mac, session.address, session.ports, session.outbound)
    vm: Vm | None = None
    try:
        session.save(folder)
        arriving = _Arriving(link, Held(store, base, ticket.overlays), folder)
        state = StreamState(begin.section, head, b"")
        vm = sessions.resume(
            store, base, folder, state, arriving.pieces(), paused=True, tail=arriving.tail, devices=devices
        )
        link.send(Kind.READY)
        if wire.read(Named, link.receive(Kind.COMMIT)[1]).id != ticket.id:
            raise BadFrameError("the last word names another handoff")
        with ticket.settled():
            vm.qmp("cont")
            session.state, session.owner = "running", ""
            session.save(folder)
    except BaseException:
        if vm:
            vm.kill()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    with contextlib.suppress(OSError):
        link.send(Kind.RUNNING)
    report(
        f"'{session.name}' runs here: {arriving.batches} batches, {arriving.literals.count} pages by content"
    )
    _set_clock(vm, report)
    vm.let_go()
    return session


class _Arriving:
    """What the source sends, as pieces for the VM."""

    def __init__(self, link: PeerConnection, held: Held, folder: Path) -> None:
        self._link, self._held = link, held
        # A page may change again and again; whoever sends more than this is not handing a VM over.
        self.literals = Literals(folder, 8 * held.base.machine.memory_pages + 2 * held.base.disk_pages)
        self.batches = 0
        self._tail = b""

    def pieces(self) -> Iterator[Piece]:
        yield from self._held.begin()
        self._link.idle()
        while True:
            try:
                kind, body = self._link.receive(Kind.BATCH, Kind.FINAL, timeout=IDLE)
            except OSError as error:  # not to be taken for QEMU's own
                raise BadFrameError(f"the source broke off: {error}") from None
            if kind is Kind.FINAL:
                size = int.from_bytes(body[:4], "little")
                if size > MOST_STATE:
                    raise BadFrameError("the devices' state is too large")
                self._tail = decompress(memoryview(body)[4:], size)
                self.literals.close()
                return
            took = max(1, int(self._link.took * 1e6))
            batch = unpack(body, self._held.limits(self.literals.count))
            earlier = self.literals.pages()
            for disk, where in ((False, batch.memory), (True, batch.disk)):
                yield from self._held.pieces(disk, where, batch.literals, earlier)
            self.literals.add(batch.literals)
            self.batches += 1
            self._link.send(Kind.SEEN, Seen(microseconds=took))

    def tail(self) -> bytes:
        return self._tail


def _set_clock(vm: Vm, report: Callable[[str], None]) -> None:
    """Set the guest's clock, which was paused with it. Guests without an agent keep what they have."""
    agent = vm.agent()
    try:
        agent.set_clock(timeout=5)
    except SkerryError as trouble:
        report(f"the guest's clock was not set: {trouble}")
    finally:
        agent.close()


def sweep(store: Store) -> None:
    """Remove what killed engines have left of VMs that had not arrived."""
    for path in (store.root / "sessions").glob("*/session.json"):
        try:
            session = Session.load(path.parent)
            pid, start_time = session.owner.split() if session.state == ARRIVING else ("", "")
        except (FileNotFoundError, ValueError):
            continue
        if pid and started(int(pid)) != start_time:
            vm = Vm.find(path.parent)
            if vm:
                vm.kill()
            with contextlib.suppress(FileNotFoundError):  # another verb's sweep was quicker
                store.remove(path.parent)
