"""A snapshot of a running VM, by live migration into this process: the guest stands still for milliseconds."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skerry.cloudlet.base import Base
from skerry.cloudlet.encode import Changes
from skerry.cloudlet.errors import QemuError
from skerry.cloudlet.machine import DISK_NODE
from skerry.cloudlet.pages import PAGE, Pages, as_pages, differing
from skerry.cloudlet.qmp import seconds
from skerry.cloudlet.stream import Parser, State
from skerry.cloudlet.vm import Vm, own_to, qcow2_on
from skerry.common.proc import run

DOWNTIME_MS = 40


@dataclass(frozen=True)
class Snapshot:
    """Memory and devices of one instant, and the qcow2 file that holds the disk of that instant.

    ``held`` says which pages of memory may be anything but zero; ``pause`` is how long the guest stood still, in
    seconds; 0 when it was not let go on.
    """

    memory: Pages
    held: NDArray[np.bool_]
    state: State
    disk: Path
    pause: float


def take(vm: Vm, memory_pages: int, *, go_on: bool, disk: str = "disk.qcow2") -> Snapshot:
    """Take a snapshot. With ``go_on`` the guest runs on, with a new disk file upon the old one, else it ends.

    Raises BadStreamError, QemuError.
    """
    parser = Parser(memory_pages)
    result: list[State | Exception] = []
    path = vm.folder / "snapshot"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    folder = os.open(vm.folder, os.O_PATH)
    listener.bind(f"/proc/self/fd/{folder}/snapshot")  # the folder's own name may be too long for an address
    os.close(folder)
    own_to(vm.folder, path)
    listener.listen(1)

    def receive() -> None:
        try:
            sock, _ = listener.accept()
            with sock:
                result.append(parser.read(sock))
        except Exception as trouble:  # handed to the caller
            result.append(trouble)

    reader = threading.Thread(target=receive, daemon=True)
    reader.start()
    qmp = vm.qmp
    try:
        capabilities = [{"capability": name, "state": True} for name in ("events", "pause-before-switchover")]
        qmp("migrate-set-capabilities", capabilities=capabilities)
        qmp("migrate-set-parameters", max_bandwidth=1 << 40, downtime_limit=DOWNTIME_MS)
        if go_on:
            _prepare_disk(vm, vm.folder / disk)
        qmp.events.clear()
        running = qmp("query-status")["running"]
        qmp("migrate", uri="unix:snapshot")
        _wait(vm, "pre-switchover", result)
        stopped = seconds(qmp.wait("STOP", 5)) if running else 0.0
        if go_on:
            qmp("blockdev-snapshot", node=DISK_NODE, overlay="disk-next")
        qmp("migrate-continue", state="pre-switchover")
        _wait(vm, "completed", result)
        if go_on and running:
            _finalized(vm)
            qmp("cont")
            pause = seconds(qmp.wait("RESUME", 10)) - stopped
        else:
            pause = 0.0
            vm.quit()
        reader.join(60)
    finally:
        listener.close()
        path.unlink(missing_ok=True)
    if not result:
        raise QemuError("migrate", "the stream did not end")
    if isinstance(result[0], Exception):
        raise result[0]
    return Snapshot(parser.memory, parser.held(), result[0], vm.folder / disk, pause)


def _wait(vm: Vm, status: str, result: list[State | Exception], timeout: float = 180.0) -> None:
    end = time.monotonic() + timeout
    while True:
        now = vm.qmp("query-migrate")
        if now.get("status") == status:
            return
        if now.get("status") in ("failed", "cancelled", "completed") or time.monotonic() > end:
            if result and isinstance(result[0], Exception):
                raise result[0]
            raise QemuError("migrate", now.get("error-desc", f"it is '{now.get('status')}'"))
        time.sleep(0.002)


def _finalized(vm: Vm) -> None:
    """A migration that is completed is not yet over: QEMU lets the guest go on only in its next state."""
    end = time.monotonic() + 10
    while vm.qmp("query-status")["status"] != "postmigrate":
        if time.monotonic() > end:
            raise QemuError("migrate", "it is completed, but does not come to its end")
        time.sleep(0.001)


def _prepare_disk(vm: Vm, current: Path) -> None:
    """Have the next disk file ready, so that the switch to it takes no time while the guest stands still."""
    info = json.loads(run(["qemu-img", "info", "-U", "--output=json", str(current)]).stdout)
    following = vm.folder / "disk.next.qcow2"
    words = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", str(current), "-F", "qcow2"]
    run([*words, str(following), str(info["virtual-size"])])
    own_to(vm.folder, following)
    file = {"driver": "file", "filename": str(following), "discard": "unmap"}
    vm.qmp("blockdev-add", driver="qcow2", node_name="disk-next", file=file, backing=None, discard="unmap")


def settle(vm: Vm) -> None:
    """Merge what the guest wrote since the snapshot back into its one disk file, while it runs on."""
    vm.qmp("block-commit", job_id="settle", device="disk-next", base_node=DISK_NODE)
    vm.qmp.wait("BLOCK_JOB_READY", 120, device="settle")
    vm.qmp("job-complete", id="settle")
    vm.qmp.wait("BLOCK_JOB_COMPLETED", 120, device="settle")
    vm.qmp("blockdev-del", node_name="disk-next")
    (vm.folder / "disk.next.qcow2").unlink()


def memory_changes(base: Base, memory: Pages, held: NDArray[np.bool_]) -> Changes:
    """The pages of memory that differ from the base's."""
    # Most pages are zero in both, which is known without reading them.
    maybe = held.copy()
    maybe[base.listed("memory")["page"]] = True
    numbers = np.flatnonzero(maybe).astype(np.uint32)
    parts = [np.empty(0, np.uint32)]
    for at in range(0, len(numbers), 256):
        some = numbers[at : at + 256]
        parts.append(some[differing(base.memory[some], memory[some])])
    chosen = np.concatenate(parts)
    return Changes(chosen, memory[chosen])


def image_name(disk: Path, base: Base) -> str:
    """How programs of QEMU are told of a qcow2 file upon a base: the file itself does not say so."""
    described = qcow2_on(disk, base.path("disk"))
    del described["node-name"]
    return "json:" + json.dumps(described)


def disk_changes(base: Base, disk: Path) -> Changes:
    """The pages of a disk that differ from the base's; ``disk`` is a qcow2 file upon it."""
    image = image_name(disk, base)
    listed = json.loads(run(["qemu-img", "map", "-U", "--output=json", image]).stdout)
    held = disk.read_bytes() if disk.stat().st_size else b""
    nonzero_base = base.listed("disk")["page"]
    numbers, content = [np.empty(0, np.uint32)], [np.empty((0, PAGE), np.uint8)]
    for extent in listed:
        if extent["depth"] != 0:
            continue  # the base's
        first, end = extent["start"] // PAGE, (extent["start"] + extent["length"]) // PAGE
        if extent["zero"] or not extent["data"]:
            low, high = np.searchsorted(nonzero_base, [first, end])
            numbers.append(np.asarray(nonzero_base[low:high], np.uint32))
            content.append(np.zeros((high - low, PAGE), np.uint8))
        else:
            new = as_pages(held[extent["offset"] : extent["offset"] + extent["length"]])
            differs = np.flatnonzero(differing(base.disk[first:end], new))
            numbers.append((differs + first).astype(np.uint32))
            content.append(new[differs])
    return Changes(np.concatenate(numbers), np.concatenate(content))
