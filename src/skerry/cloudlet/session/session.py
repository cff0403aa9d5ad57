"""Sessions: VMs that run, made of a base and perhaps an overlay, each in a folder of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from skerry.cloudlet.errors import NotRestoredError
from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.manifest import good_name
from skerry.cloudlet.overlay.rebuild import Piece
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.vm.fuse import unmount
from skerry.cloudlet.vm.process import GATEWAY, KernelBoot, Vm, qcow2_on, started
from skerry.cloudlet.vm.qcow2 import Writer
from skerry.cloudlet.vm.qemu import preflight
from skerry.cloudlet.vm.stream import StreamState, records
from skerry.common.errors import NotFoundError, RefusedError, UsageError
from skerry.common.files import write_atomically


@dataclass
class Session:
    """What is known of a session. ``ports`` maps ports of this host's loopback to the guest's."""

    name: str
    base: str
    overlay: str = ""
    mode: str = "full"
    address: str = ""
    mac: str = ""
    ports: dict[int, int] = field(default_factory=dict)
    outbound: bool = False
    created: float = field(default_factory=time.time)
    owner: str = ""  # the process that serves its pages, as "pid start"
    state: str = "new"

    def save(self, folder: Path) -> None:
        write_atomically(folder / "session.json", json.dumps(asdict(self), indent=1), mode=0o600)

    @classmethod
    def load(cls, folder: Path) -> Session:
        data = json.loads((folder / "session.json").read_text())
        data["ports"] = {int(host): guest for host, guest in data["ports"].items()}
        return cls(**data)


@dataclass(frozen=True)
class GuestNetwork:
    """Ports of the guest to be reached from this host's loopback, and whether the guest reaches others."""

    ports: tuple[int, ...] = ()
    outbound: bool = False


def free_name() -> str:
    """A name for a session that was given none."""
    return f"vm-{os.getpid()}-{int(time.time()) % 100000}"


def folder_of(store: Store, name: str) -> Path:
    return store.root / "sessions" / name


def listed(store: Store) -> list[Session]:
    """All sessions, with ``state`` as it is now: running, or dead."""
    found = []
    for folder in sorted((store.root / "sessions").iterdir()):
        try:
            session = Session.load(folder)
        except (FileNotFoundError, ValueError):
            continue
        if Vm.find(folder) is None:
            session.state = "dead"
        found.append(session)
    return found


def find(store: Store, name: str) -> tuple[Session, Vm]:
    """A session that runs. Raises NotFoundError."""
    folder = folder_of(store, name)
    vm = Vm.find(folder) if good_name(name) and (folder / "session.json").exists() else None
    if vm is None:
        have = ", ".join(each.name for each in listed(store) if each.state != "dead") or "none"
        raise NotFoundError(f"No session '{name}' runs.", remedy=f"There run: {have}.")
    return Session.load(folder), vm


def stop(store: Store, name: str) -> None:
    """End a session and remove what it wrote. Raises NotFoundError when there is none, running or dead."""
    folder = folder_of(store, name)
    if not good_name(name) or not folder.is_dir():
        raise NotFoundError(f"There is no session '{name}'.")
    vm = Vm.find(folder)
    if vm:
        vm.quit()
    _end_owner(folder)
    unmount(folder / "pages")
    store.remove(folder)


def _end_owner(folder: Path) -> None:
    try:
        pid, start_time = Session.load(folder).owner.split()
    except (FileNotFoundError, ValueError):
        return
    # It ends by itself when its VM does; what waits here is that its mount goes.
    end = time.monotonic() + 10
    while started(int(pid)) == start_time and int(pid) != os.getpid() and time.monotonic() < end:
        time.sleep(0.02)


def new_folder(store: Store, name: str) -> Path:
    """The folder for a new session. Raises UsageError when the name is none, or taken."""
    if not good_name(name):
        raise UsageError(f"'{name}' is not a name: letters, digits, dots and dashes, 63 at most.")
    folder = folder_of(store, name)
    if folder.exists():
        if Vm.find(folder) is None and not (folder / "session.json").exists():
            store.remove(folder)  # a killed verb's
        else:
            raise UsageError(f"There is a session '{name}' already.", remedy="Take another name, or stop it.")
    folder.mkdir(mode=0o700)
    return folder


def boot_of(base: Base) -> KernelBoot | None:
    if not base.has("kernel"):
        return None
    return KernelBoot(base.path("kernel"), base.path("initrd"), base.append)


def feed(
    sock: socket.socket,
    state: StreamState,
    pieces: Iterable[Piece],
    disk: Writer,
    tail: Callable[[], bytes] | None = None,
) -> None:
    """Give QEMU its memory as it comes, write the disk as it comes, and the devices last.

    ``tail`` brings the devices where they are not known before the pages have come.
    Raises whatever the pieces raise; QEMU then finds its stream cut off, and ends.
    """
    with sock:
        sock.sendall(state.head + state.begin_pages())
        for piece in pieces:
            if piece.disk:
                disk.write(piece.numbers, piece.content)
            else:
                for record in records(piece.numbers, piece.content):
                    sock.sendall(record)
        disk.finish()
        sock.sendall(state.end_pages() + (tail() if tail else state.tail))


def resume(
    store: Store,
    base: Base,
    folder: Path,
    state: StreamState,
    pieces: Iterable[Piece],
    *,
    paused: bool = False,
    tail: Callable[[], bytes] | None = None,
    devices: Sequence[str] = (),
) -> Vm:
    """A VM in ``folder`` that continues from ``state``: memory and disk are the base's, but for ``pieces``.

    Unchanged memory is mapped from the base's file: VMs of one base share it. ``tail`` is as for feed, ``devices``
    are QEMU's arguments for what was plugged in when the state was taken. Raises PreflightError,
    NotRestoredError (and then nothing runs), and whatever the pieces raise.
    """
    preflight(base.machine, store.root / "qemu")
    disk = Writer(folder / "disk.qcow2", base.disk_pages)
    ours, theirs = socket.socketpair()
    with theirs:
        vm = Vm.start(
            folder,
            base.machine,
            qcow2_on(folder / "disk.qcow2", base.path("disk")),
            base.path("memory"),
            boot_of(base),
            incoming=theirs,
            paused=paused,
            devices=devices,
        )
    trouble: list[Exception] = []

    def work() -> None:
        try:
            feed(ours, state, pieces, disk, tail)
        except Exception as error:  # handed to the caller
            trouble.append(error)

    feeder = threading.Thread(target=work, daemon=True)
    feeder.start()
    feeder.join()
    if trouble and not isinstance(trouble[0], BrokenPipeError | ConnectionResetError):
        vm.kill()
        raise trouble[0]
    if trouble:
        vm.kill()
        raise NotRestoredError(folder.name, vm.last_words())
    vm.restored()
    return vm


def connect(session: Session, vm: Vm, network: GuestNetwork) -> None:
    """Give a resumed VM a card of its own, an address, a right clock, randomness and an identity.

    Raises GuestError when the guest's agent does not take part.
    """
    session.mac = "52:54:00:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
    # Each VM has a network of its own; the address differs all the same, so that no one builds on it.
    session.address = f"10.0.2.{20 + secrets.randbelow(220)}"
    session.ports = {free_port(): port for port in network.ports}
    session.outbound = network.outbound
    agent = vm.agent()
    try:
        if network.ports or network.outbound:
            vm.add_nic(session.mac, session.address, session.ports, network.outbound)
        # Before anyone can reach it; meanwhile its kernel finds the card.
        agent.renew(session.name)
        if network.ports or network.outbound:
            agent.network(session.mac, f"{session.address}/24", GATEWAY)
    finally:
        agent.close()


def run_base(
    store: Store, base: Base, name: str, network: GuestNetwork, *, prepare: bool = True, overlay: str = ""
) -> tuple[Session, Vm]:
    """A session of a base alone. With ``prepare`` the guest's agent renews its identity."""
    folder = new_folder(store, name)
    session = Session(name, base.id, overlay)
    try:
        vm = resume(store, base, folder, StreamState.unpack(base.state), ())
        try:
            if prepare:
                connect(session, vm, network)
            session.state = "running"
            session.save(folder)
        except BaseException:
            vm.kill()
            raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return session, vm


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def remove_base(store: Store, base: Base) -> None:
    """Remove a base. Raises RefusedError while overlays of this store or sessions need it."""
    users = [f"the overlay '{o.manifest.name}'" for o in store.overlays() if o.manifest.base == base.id]
    users += [f"the session '{session.name}'" for session in listed(store) if session.base == base.id]
    if users:
        raise RefusedError(
            f"The base '{base.name}' is needed by {', '.join(users)}.", remedy="Remove these first."
        )
    store.remove(base.folder)
