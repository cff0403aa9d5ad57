"""Handing a running VM over to another engine: the source's side.

QEMU's own live migration fills a spool here; from there what the other side does not have goes over the link while the
guest runs. When all of memory has come once and much of it still waits, the migration is ended and, when the link
has taken all, started again: the guest is not paused for the link. In the last one it stops for what is left.
The VM stays here, paused, until the other side confirms that its own runs. docs/cloudlet/handoff.md has the protocol.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skerry.cloudlet.errors import HandoffError, PeerRefusedError, QemuError, UnsettledError
from skerry.cloudlet.handoff import recovery
from skerry.cloudlet.handoff.inventory import Held, chain
from skerry.cloudlet.handoff.outbox import NOTHING, Outbox
from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.encoder import Changes
from skerry.cloudlet.overlay.pages import Pages, differing
from skerry.cloudlet.overlay.segments import compress
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.peer import wire
from skerry.cloudlet.peer.identity import Identity
from skerry.cloudlet.peer.wire import Accept, BadFrameError, Begin, Card, Kind, Named, Offer, PeerConnection
from skerry.cloudlet.session import session as sessions
from skerry.cloudlet.session.session import Session
from skerry.cloudlet.vm import layers, snapshot
from skerry.cloudlet.vm.intake import Intake
from skerry.cloudlet.vm.process import Vm, started
from skerry.cloudlet.vm.spool import Spool
from skerry.cloudlet.vm.stream import StreamState
from skerry.common.files import write_atomically

Say = Callable[[str], None]

_PAUSE = 0.3  # seconds that the rest may take the link, when the guest is paused
_MOST_PASSES = 5
_ASK = 10.0  # seconds in which a destination that fell silent at the last step is asked


@dataclass
class Done:
    """A handoff that has succeeded. ``pause`` is how long the guest was paused, as this side saw it, in seconds."""

    session: str
    to: str
    seconds: float
    pause: float
    sent: int  # bytes
    passes: int
    pages: int  # that differ from what the other side held
    literals: int  # of these, by content
    levels: dict[int, int]  # of compression, and the literals that were compressed with each
    bandwidth: int  # bytes per second, as it was seen
    times: dict[str, float]  # seconds after the begin at which each stage was over


def handoff(
    store: Store, name: str, where: str, *, rename: str = "", report: Say = lambda text: None
) -> Done:
    """Move the session ``name`` to the engine at ``where`` (HOST:PORT); it is called ``rename`` there.

    Raises NotFoundError, PeerRefusedError, HandoffError (and then the VM runs here as before), UnsettledError.
    """
    session, vm = sessions.find(store, name)
    with store.lock(f"handoff-{name}"):
        recovery.recover(store, session, vm)
        link = wire.connect(Identity(store.root / "keys"), where)
        try:
            return _Handoff(store, session, vm, link, report).run(rename or name)
        finally:
            link.close()
            vm.let_go()


class _Handoff:
    def __init__(self, store: Store, session: Session, vm: Vm, link: PeerConnection, report: Say) -> None:
        self.store, self.session, self.vm, self.link, self.report = store, session, vm, link, report
        self.base: Base = store.base(session.base)
        self.committed = False
        self.passes = 0
        self.times: dict[str, float] = {}
        self._begun = time.monotonic()

    def run(self, name: str) -> Done:
        where = self.link.name
        try:
            self._offer(name)
            self.report(f"{where} takes it, and holds {self.overlays} of its overlays")
            held = Held(self.store, self.base, self.chain[: self.overlays])
            self.spool = Spool(
                self.base.machine.memory_pages, self.base.path("memory"), self.base.listed("memory")["page"]
            )
            begin = self._begin(held)
            self._time("prepared")
            self.out = out = Outbox(self.link, held)
            with contextlib.closing(out):
                pause = self._last(self._live(begin))
        except BaseException as trouble:
            raise self._go_on(trouble) from None
        sessions.stop(self.store, self.session.name)
        return Done(
            self.session.name, where, round(time.monotonic() - self._begun, 3), round(pause, 3), self.link.sent,
            self.passes, out.pages, out.literals, out.levels, round(out.adapt.bandwidth), self.times,
        )  # fmt: skip

    def _offer(self, name: str) -> None:
        session = self.session
        self.chain = chain(self.store, session.overlay)
        card = None
        if self.vm.has_nic():
            ports = sorted(set(session.ports.values()))
            card = Card(mac=session.mac, address=session.address, ports=ports, outbound=session.outbound)
        offer = Offer(
            name=name, base=self.base.id, overlays=self.chain, machine=self.base.machine.to_json(),
            disk_pages=self.base.disk_pages, generation=self.vm.generation(), card=card,
        )  # fmt: skip
        self.link.send(Kind.OFFER, offer)
        accept = wire.read(Accept, self.link.receive(Kind.ACCEPT)[1])
        if accept.held > len(self.chain):
            raise BadFrameError("it claims to hold more overlays than there are")
        self.id, self.overlays = accept.id, accept.held

    def _begin(self, held: Held) -> Changes:
        """What the other side's VM begins with: memory goes into the spool, the disk's pages are returned."""
        numbers, content = [NOTHING.numbers], [NOTHING.content]
        for piece in held.begin():
            if piece.disk:
                numbers.append(piece.numbers)
                content.append(piece.content)
            else:
                self.spool.put(piece.numbers, piece.content)
        return Changes(np.concatenate(numbers), np.concatenate(content))

    def _time(self, stage: str) -> None:
        self.times[stage] = round(time.monotonic() - self._begun, 3)

    # -- while the guest runs -----------------------------------------------------------------------------

    def _live(self, begin: Changes) -> StreamState:
        """Send until little is left. Returns QEMU's rest, with the guest paused."""
        self._note()
        self.files = [self.vm.folder / "disk.qcow2"]
        self._next_layer()
        # What is on the disk is known before memory comes: only then it is clear whether much waits.
        now = snapshot.disk_changes(self.base, self.files[1], self._lower())
        disk = against(now, begin, self.base.disk)
        self.out.backlog = len(disk.numbers)
        self._time("disk read")
        while True:
            self.passes += 1
            with Intake(self.vm, self.spool, self._enough) as intake:
                if self.passes == 1:
                    self._say_begin(intake)
                    self.out.send(NOTHING, disk)
                else:
                    self._send_written()
                while not intake.ended_early():
                    waiting = self.spool.waiting()
                    if waiting:
                        self.out.send(self.spool.take(), NOTHING)
                    if intake.stands_still():
                        self.stopped = intake.stopped_at()
                        self._time("stopped")
                        return intake.finish()
                    if not waiting:
                        time.sleep(0.005)
            self.out.send(self.spool.take(), NOTHING)
            self.out.all_seen()
            self._time(f"pass {self.passes}")
            self.report(f"pass {self.passes} is over: {self.link.sent / 1e6:.1f} MB sent")

    def _say_begin(self, intake: Intake) -> None:
        end = time.monotonic() + 30
        while not intake.parser.head:
            intake.stands_still()
            if time.monotonic() > end:
                raise QemuError("migrate", "nothing comes")
            time.sleep(0.001)
        self.head = (intake.parser.section, intake.parser.head)
        self.link.send(Kind.BEGIN, Begin(id=self.id, section=self.head[0], head=self.head[1].hex()))

    def _enough(self) -> bool:
        """Whether so much waits that the guest must not stop for it. In whatever thread."""
        waiting = self.spool.waiting() + self.out.backlog
        return waiting > self.out.adapt.pages(_PAUSE) and self.passes < _MOST_PASSES

    def _next_layer(self) -> None:
        node = layers.prepare(self.vm, self.files[0])
        layers.switch(self.vm, node)
        self.files.insert(0, layers.file_of(self.vm, node))
        self.written = layers.writes(self.vm)

    def _lower(self) -> snapshot.Lower | None:
        if self.session.mode != "early":
            return None
        return snapshot.Lower(self.vm.folder / "pages/disk", np.load(self.vm.folder / "disk.changed.npy"))

    def _send_written(self) -> None:
        """What was written to the disk since the last time, if anything was."""
        if layers.writes(self.vm) != self.written:
            self._next_layer()
            self.out.send(NOTHING, self._layer(self.files[1:]))

    def _layer(self, files: list[Path]) -> Changes:
        lower = self._lower()
        return layers.changes(files, lower.path if lower else self.base.path("disk"))

    # -- while it is paused --------------------------------------------------------------------------------

    def _last(self, state: StreamState) -> float:
        if (state.section, state.head) != self.head:
            raise QemuError("migrate", "its stream has another head than before")
        disk = NOTHING if layers.writes(self.vm) == self.written else self._layer(self.files)
        self.out.send(self.spool.take(), disk)
        self.link.send(Kind.FINAL, len(state.tail).to_bytes(4, "little") + compress(state.tail, 3))
        self.out.all_seen()
        self._time("sent")
        self.link.receive(Kind.READY)
        self.committed = True
        self._note()
        self.link.send(Kind.COMMIT, Named(id=self.id))
        self.link.receive(Kind.RUNNING)
        return time.time() - self.stopped if self.stopped else 0.0

    def _note(self) -> None:
        owner = f"{os.getpid()} {started(os.getpid())}"
        note = {"owner": owner, "where": self.link.name, "id": self.id, "committed": self.committed}
        write_atomically(self.vm.folder / recovery.NOTE, json.dumps(note), mode=0o600)

    def _go_on(self, trouble: BaseException) -> BaseException:
        """Resume the VM here, unless it runs there; returns what is to be raised."""
        where, reason = self.link.name, self._reason(trouble)
        self.link.close()
        running = recovery.ask(self.store, where, self.id, _ASK) if self.committed else False
        if running:
            sessions.stop(self.store, self.session.name)
            return HandoffError(
                where, "its last word was lost", remedy="The VM runs there, and no longer here."
            )
        recovery.go_on(self.vm)
        return UnsettledError(where, trouble) if running is None else reason

    def _reason(self, trouble: BaseException) -> BaseException:
        if not isinstance(trouble, OSError | BadFrameError):
            return trouble
        # Whoever hangs up may have said why.
        try:
            self.link.receive(Kind.SEEN, Kind.READY, Kind.RUNNING, timeout=1)
        except PeerRefusedError as said:
            return said
        except (OSError, BadFrameError):
            pass
        return HandoffError(self.link.name, trouble or type(trouble).__name__)


def against(now: Changes, begin: Changes, base: Pages) -> Changes:
    """Changes against a base, as changes against that base with ``begin`` changed in it."""
    if not len(begin.numbers):
        return now
    order = np.argsort(begin.numbers, kind="stable")
    numbers, content = begin.numbers[order], begin.content[order]
    at = np.minimum(np.searchsorted(numbers, now.numbers), len(numbers) - 1)
    both = numbers[at] == now.numbers
    keep = ~both
    keep[both] = differing(np.ascontiguousarray(now.content[both]), content[at[both]])
    back = np.setdiff1d(numbers, now.numbers)  # changed in what it begins with, and the base's again
    every = np.concatenate([now.numbers[keep], back])
    pages = np.concatenate([now.content[keep], base[back]])
    order = np.argsort(every, kind="stable")
    return Changes(every[order], pages[order])
