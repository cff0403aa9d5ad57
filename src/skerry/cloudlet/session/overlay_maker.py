"""Making overlays: a VM of a base (or of an overlay), changed, and taken apart again."""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skerry.cloudlet.errors import BadOverlayError
from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.encoder import Changes, Sources, finder, make, plan
from skerry.cloudlet.overlay.manifest import Manifest, good_name
from skerry.cloudlet.overlay.pages import Numbers, digests
from skerry.cloudlet.overlay.reader import FileSource, Overlay
from skerry.cloudlet.overlay.rebuild import Rebuild, parent_literals
from skerry.cloudlet.overlay.segments import LEVEL
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.session import session as sessions
from skerry.cloudlet.session.session import GuestNetwork, Session
from skerry.cloudlet.session.synthesis import SynthesisedVm, synthesize
from skerry.cloudlet.vm import layers, snapshot
from skerry.cloudlet.vm.agent import Agent
from skerry.cloudlet.vm.process import Vm, own_to
from skerry.cloudlet.vm.stream import StreamState
from skerry.common.errors import NotFoundError, PreflightError, UsageError
from skerry.common.files import finish

Say = Callable[[str], None]

# Deleted files leave the disk, and what the kernel only remembers of files leaves memory. The page cache stays: its
# content is on the disk, and costs nothing twice.
SETTLE = "sync; fstrim / 2>/dev/null; sync; echo 2 >/proc/sys/vm/drop_caches"
_PIECE = 1 << 24  # bytes that are copied at a time


@dataclass
class Created:
    """A new overlay and what it cost: seconds (but for the recording), of the guest's pause, and counts of pages."""

    manifest: Manifest
    path: Path
    seconds: float
    pause: float
    pages: dict[str, int] = field(default_factory=dict)

    def about(self) -> dict[str, Any]:
        """What a user is shown of it."""
        cost = {"pages": self.pages, "seconds": round(self.seconds, 2), "pause": round(self.pause, 4)}
        return {**self.manifest.about(), **cost}


def create(
    store: Store,
    word: str,
    name: str,
    script: str,
    *,
    files: Path | None = None,
    warm: str = "",
    network: GuestNetwork | None = None,
    level: int = LEVEL,
    report: Say = lambda text: None,
) -> Created:
    """Resume the base (or overlay) ``word``, run ``script`` in it, and keep what has changed as an overlay.

    ``files`` is a file that the guest sees as a read-only disk, /dev/vdb, while the script runs. ``warm`` is
    a second script, typically a request to the new server: what it touches in a copy of the VM is the working
    set, and comes first in the overlay. Raises GuestError when a script fails, UsageError, NotFoundError.
    """
    if not good_name(name):
        raise UsageError(f"'{name}' is not a name: letters, digits, dots and dashes, 63 at most.")
    session, vm = _begin(store, word, f"new-{name}")
    folder = sessions.folder_of(store, session.name)
    try:
        report("running the script in the guest")
        agent = vm.agent()
        try:
            if files:
                offer(vm, agent, files)
            if network:
                vm.add_nic("52:54:00:00:00:01", "10.0.2.15", {}, network.outbound)
                agent.network("52:54:00:00:00:01", "10.0.2.15/24", "10.0.2.2")
            agent.run(script)
            agent.run(SETTLE, timeout=120)
        finally:
            agent.close()
        if files:
            vm.remove_files()
        if network:
            vm.remove_nic()
        return keep(store, session, vm, name, warm=warm, level=level, report=report)
    finally:
        vm.quit()
        store.remove(folder)


def offer(vm: Vm, agent: Agent, files: Path) -> None:
    """Let the guest see a file as its read-only disk /dev/vdb, and wait until it does."""
    shutil.copyfile(files, vm.folder / "files")
    own_to(vm.folder, vm.folder / "files")
    vm.add_files(vm.folder / "files")
    agent.run(
        "tries=0; until [ -b /dev/vdb ]; do tries=$((tries + 1)); [ $tries -lt 300 ] || exit 1; sleep 0.1; done"
    )


def _begin(store: Store, word: str, name: str) -> tuple[Session, Vm]:
    """A session to change: of a base, or of an overlay on one."""
    try:
        base = store.base(word)
    except NotFoundError:
        path = store.overlay_path(word)
        running = synthesize(store, FileSource(path), name, GuestNetwork())
        return running.session, running.vm
    return sessions.run_base(store, base, name, GuestNetwork())


def keep(
    store: Store,
    session: Session,
    vm: Vm,
    name: str,
    *,
    warm: str = "",
    level: int = LEVEL,
    report: Say = lambda text: None,
) -> Created:
    """Take an overlay of a session, which runs on meanwhile and afterwards. It must have no network card."""
    if session.mode == "early":
        raise UsageError(f"The session '{session.name}' began early: its disk is not on the base's own.")
    base = store.base(session.base)
    report("taking its memory and disk")
    started = time.monotonic()
    taken = snapshot.take(vm, base.machine.memory_pages, go_on=True)
    memory = snapshot.memory_changes(base, taken.memory, taken.held)
    disk = snapshot.disk_changes(base, taken.disk)
    layers.settle(vm)
    parents = _parents(store, session)
    with store.work() as folder:
        state = taken.state.pack()
        if warm:
            report("recording what it touches first")
            recording = time.monotonic()
            touched = _record(store, base, folder, memory, disk, state, warm)
            started += time.monotonic() - recording
        else:
            touched = np.empty(0, np.uint32), np.empty(0, np.uint32)
        report("finding what is new in it, and compressing that")
        chosen = plan(memory, disk, _sources(store, base, parents), *touched)
        made = make(
            chosen,
            state,
            name=name,
            base=base,
            keys=store.keys,
            parents=parents,
            level=level,
        )
        path = store.keep_overlay(made.parts, made.manifest.id, folder)
        seconds = time.monotonic() - started
    pages = {
        "memory": len(memory.numbers),
        "disk": len(disk.numbers),
        "carried": len(chosen.literals),
        "warm": chosen.areas.warm,
    }
    return Created(made.manifest, path, seconds, taken.pause, pages)


def _parents(store: Store, session: Session) -> list[str]:
    if not session.overlay:
        return []
    below = store.open_overlay(session.overlay)
    return [*below.manifest.parents, below.manifest.id]


def _sources(store: Store, base: Base, parents: Sequence[str]) -> Sources:
    below = [finder(digests(parent_literals(store, base, id))) for id in parents]
    return Sources(base.finder("disk"), base.finder("memory"), below)


def _record(
    store: Store, base: Base, folder: Path, memory: Changes, disk: Changes, state: bytes, warm: str
) -> tuple[Numbers, Numbers]:
    """What a copy of the VM touches while ``warm`` runs in it, in order."""
    chosen = plan(memory, disk, Sources(base.finder("disk"), base.finder("memory")))
    made = make(
        chosen,
        state,
        name="copy",
        base=base,
        keys=store.keys,
        level=1,
    )
    path = folder / "copy"
    path.write_bytes(b"".join(made.parts))
    touched: tuple[dict[int, None], dict[int, None]] = ({}, {})
    # Two copies touch more than one: some of it is chance.
    for _ in range(2):
        with contextlib.closing(FileSource(path)) as source:
            running = synthesize(store, source, f"warm-{folder.name}", GuestNetwork((9,)), early=True)
            try:
                _use(running, warm)
                assert running.lazy
                for seen, pages in zip(touched, running.lazy.touched, strict=True):
                    seen.update(dict.fromkeys(pages))
            finally:
                running.close()
                store.remove(sessions.folder_of(store, running.session.name))
    return np.array(list(touched[0]), np.uint32), np.array(list(touched[1]), np.uint32)


def _use(running: SynthesisedVm, warm: str) -> None:
    agent = running.vm.agent()
    try:
        agent.run(warm, timeout=120)
    finally:
        agent.close()
    # Once from outside as well, for the way through the card: nobody listens there.
    port = next(iter(running.session.ports))
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as sock:
        sock.settimeout(2)
        sock.recv(1)


def export(store: Store, word: str, target: Path) -> Manifest:
    """Write an overlay to a file. Raises NotFoundError, BadOverlayError."""
    path = store.overlay_path(word)
    half = target.with_name(f".{target.name}.part")
    shutil.copyfile(path, half)
    finish(half, target)
    return Overlay(FileSource(target), None).manifest


def import_(store: Store, path: Path, *, most: int = 1 << 36, report: Say = lambda text: None) -> Manifest:
    """Take an overlay of at most ``most`` bytes out of a file, checking all of it as synthesis does.

    What is checked is a copy, and the copy is what is kept: whoever changes the file meanwhile changes nothing.
    Raises BadOverlayError, BadStreamError, UntrustedError, NotFoundError (without its base and the overlays below),
    PreflightError (no room).
    """
    with store.work() as folder, contextlib.closing(FileSource(path)) as source:
        size = Overlay(source, store.keys).manifest.size
        if size > most:
            raise BadOverlayError(source.name, f"it has {size} bytes, {most} are allowed")
        copy = folder / "overlay"
        try:
            with copy.open("wb") as file:
                for at in range(0, size, _PIECE):
                    file.write(source.read(at, min(_PIECE, size - at)))
        except OSError as error:
            raise PreflightError(
                f"Cannot take {path} into the store: {error.strerror}.",
                remedy=f"Nothing of it was kept. Is there room below {store.root}?",
            ) from None
        report("checking its pages")
        with contextlib.closing(FileSource(copy)) as taken:
            taken.name = source.name
            rebuild = Rebuild(Overlay(taken, store.keys), store)
            StreamState.unpack(rebuild.overlay.state(rebuild.base.state))
            for _ in rebuild.overlay.segments(rebuild.index):
                pass
        manifest = rebuild.overlay.manifest
        store.keep(copy, "overlays", manifest.id)
        return manifest
