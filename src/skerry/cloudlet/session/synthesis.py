"""VM synthesis: from an overlay, in a file or over HTTP, to a VM that runs.

In *full* synthesis pages flow from the network through decompression into QEMU as they come, and the VM runs
when the last one is there. With an *early start* it runs at once, on files whose pages are fetched when they
are touched; the rest follows in the order of the recorded working set.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from skerry.cloudlet.errors import BadOverlayError
from skerry.cloudlet.overlay.http_source import HttpSource
from skerry.cloudlet.overlay.pages import Pages
from skerry.cloudlet.overlay.reader import FileSource, Overlay, Source
from skerry.cloudlet.overlay.rebuild import Piece, Rebuild
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.overlay.transfer import Transfer
from skerry.cloudlet.session import session as sessions
from skerry.cloudlet.session.lazy_pages import LazyPages
from skerry.cloudlet.session.session import GuestNetwork, Session
from skerry.cloudlet.vm.fuse import Mount, unmount
from skerry.cloudlet.vm.process import Vm, qcow2_on, started
from skerry.cloudlet.vm.qemu import preflight
from skerry.cloudlet.vm.stream import StreamState
from skerry.common.errors import NotFoundError
from skerry.common.proc import run


@dataclass
class SynthesisedVm:
    """A synthesised VM. ``times`` is how many seconds after the start each stage was over."""

    session: Session
    vm: Vm
    times: dict[str, float] = field(default_factory=dict)
    transfer: Transfer | None = None
    lazy: LazyPages | None = None
    mount: Mount | None = None
    trouble: list[Exception] = field(default_factory=list)

    def serve(self) -> None:
        """Stay until the VM ends, where its pages come from this process. Raises what went wrong."""
        while self.mount and self.vm.alive() and not self.trouble:
            time.sleep(0.1)
        self.close()
        if self.trouble:
            raise self.trouble[0]

    def close(self) -> None:
        """End the VM, and the serving of its pages."""
        self.vm.quit()
        if self.transfer:
            self.transfer.stop()
        if self.mount:
            self.mount.close()


def source_of(word: str, store: Store) -> Source:
    """An address, a file, or an overlay of the store by its name. Raises NotFoundError, UsageError."""
    if "://" in word:
        return HttpSource(word)
    path = Path(word)
    if path.is_file():
        return FileSource(path)
    try:
        return FileSource(store.overlay_path(word))
    except NotFoundError as missing:
        raise NotFoundError(
            f"'{word}' is no file, and no overlay of this store.", remedy=missing.remedy
        ) from None


def synthesize(
    store: Store,
    source: Source,
    name: str,
    network: GuestNetwork,
    *,
    early: bool = False,
    prepare: bool = True,
    paused: bool = False,
    most: int = 1 << 36,
    report: Callable[[str], None] = lambda text: None,
) -> SynthesisedVm:
    """Synthesise a VM as the session ``name``.

    ``most`` is how many bytes the overlay may have. With ``early`` this process serves the VM's pages, for as
    long as it runs. Host, base and signature are checked before any segment is fetched; what goes wrong later
    ends the VM and leaves nothing behind. Raises BadOverlayError, UntrustedError, PreflightError, LinkError,
    NotRestoredError, GuestError.
    """
    started_at = time.monotonic()
    overlay = Overlay(source, store.keys)
    manifest = overlay.manifest
    if manifest.size > most:
        raise BadOverlayError(source.name, f"it has {manifest.size} bytes, {most} are allowed")
    preflight(manifest.machine, store.root / "qemu")
    rebuild = Rebuild(overlay, store)
    state = StreamState.unpack(overlay.state(rebuild.base.state))
    folder = sessions.new_folder(store, name)
    session = Session(name, rebuild.base.id, manifest.id, "early" if early else "full")
    running: SynthesisedVm | None = None
    try:
        report(f"base '{rebuild.base.name}' is here; {manifest.segments / 1e6:.1f} MB to fetch")
        start = _early if early else _full
        running = start(store, rebuild, state, folder, session, paused)
        running.times["resumed"] = time.monotonic() - started_at
        if prepare and not paused:
            sessions.connect(session, running.vm, network)
        running.times["connected"] = time.monotonic() - started_at
        session.state = "running"
        session.owner = f"{os.getpid()} {started(os.getpid())}" if early else ""
        session.save(folder)
        if running.trouble:
            raise running.trouble[0]
    except BaseException:
        # A fault in what was fetched comes before whatever the guest then did not do.
        trouble = running.trouble if running else []
        if running:
            running.close()
        shutil.rmtree(folder, ignore_errors=True)
        if trouble:
            raise trouble[0] from None
        raise
    return running


def _full(
    store: Store, rebuild: Rebuild, state: StreamState, folder: Path, session: Session, paused: bool
) -> SynthesisedVm:
    ready: queue.Queue[tuple[int, Pages] | Exception] = queue.Queue(maxsize=8)
    transfer = Transfer(
        rebuild.overlay, rebuild.index, lambda number, pages: ready.put((number, pages)), ready.put
    )

    def pieces() -> Iterator[Piece]:
        transfer.start()
        yield from rebuild.without_literals()
        for _ in range(len(rebuild.index.segments)):
            got = ready.get()
            if isinstance(got, Exception):
                raise got
            yield from rebuild.of_segment(*got)

    try:
        vm = sessions.resume(store, rebuild.base, folder, state, pieces(), paused=paused)
    except BaseException:
        transfer.stop()
        raise
    return SynthesisedVm(session, vm, transfer=transfer)


def _early(
    store: Store, rebuild: Rebuild, state: StreamState, folder: Path, session: Session, paused: bool
) -> SynthesisedVm:
    base, mounted = rebuild.base, folder / "pages"
    trouble: list[Exception] = []
    wanted: list[Transfer] = []
    lazy = LazyPages(rebuild, lambda number: wanted[0].want(number))
    mounted.mkdir()
    np.save(folder / "disk.changed.npy", rebuild.index.disk.pages)
    transfer = Transfer(rebuild.overlay, rebuild.index, lazy.arrived, trouble.append, lazy.busy)
    wanted.append(transfer)
    transfer.start()
    size = base.disk_pages * 4096
    run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", str(folder / "disk.qcow2"), str(size)])
    mount = Mount(mounted, lazy.files())
    threading.Thread(target=mount.serve, args=(2,), daemon=True).start()
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            vm = Vm.start(
                folder,
                base.machine,
                qcow2_on(folder / "disk.qcow2", mounted / "disk"),
                mounted / "memory",
                sessions.boot_of(base),
                incoming=theirs,
                paused=paused,
                lazy=True,
            )
        # Where QEMU has ended already, waiting for it gives the reason.
        with ours, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            ours.sendall(state.head + state.tail)
        running = SynthesisedVm(session, vm, transfer=transfer, lazy=lazy, mount=mount, trouble=trouble)
        watch = threading.Thread(target=_watch, args=(running,), daemon=True)
        watch.start()
        vm.restored()
    except BaseException:
        transfer.stop()
        mount.close()
        if trouble:
            raise trouble[0] from None
        raise
    return running


def _watch(running: SynthesisedVm) -> None:
    """A VM whose pages cannot be had any more must not wait for them for ever."""
    assert running.transfer
    running.transfer.done.wait()
    if running.trouble:
        running.vm.kill()


def sweep_mounts(store: Store) -> None:
    """Unmount what killed processes have left mounted."""
    mounts = Path("/proc/self/mounts").read_text().split("\n")
    for line in mounts:
        words = line.split(" ")
        place = Path(words[1].replace("\\040", " ")) if len(words) > 2 else Path()
        if len(words) > 2 and words[2] == "fuse.skerry" and place.is_relative_to(store.root):
            folder = place.parent
            if Vm.find(folder) is None:
                unmount(place)
