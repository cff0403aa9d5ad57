"""A snapshot of a running VM, by live migration into this process: the guest is paused for milliseconds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.encoder import Changes
from skerry.cloudlet.overlay.pages import PAGE, Numbers, Pages, as_pages, differing, open_pages
from skerry.cloudlet.vm import intake as intakes
from skerry.cloudlet.vm import layers
from skerry.cloudlet.vm.intake import Intake
from skerry.cloudlet.vm.process import Vm
from skerry.cloudlet.vm.spool import Spool
from skerry.cloudlet.vm.stream import StreamState


@dataclass(frozen=True)
class Lower:
    """A raw disk between the base and a VM's own file, and which of its pages are not the base's."""

    path: Path
    changed: Numbers


@dataclass(frozen=True)
class Snapshot:
    """Memory and devices of one instant, and the qcow2 file that holds the disk of that instant.

    ``held`` marks the pages of memory that may be anything but zero; ``pause`` is how long the guest was paused, in
    seconds; 0 when it was not resumed.
    """

    memory: Pages
    held: NDArray[np.bool_]
    state: StreamState
    disk: Path
    pause: float


def take(vm: Vm, memory_pages: int, *, go_on: bool, disk: str = "disk.qcow2") -> Snapshot:
    """Take a snapshot. With ``go_on`` the guest runs on, with a new disk file on the old one, else it ends.

    Raises BadStreamError, QemuError.
    """
    spool = Spool(memory_pages)
    current = vm.folder / disk
    layer = layers.prepare(vm, current) if go_on else ""
    with Intake(vm, spool) as intake:
        stopped = intake.wait()
        if go_on:
            layers.switch(vm, layer)
        state = intake.finish()
        pause = 0.0
        if go_on and intake.ran:
            pause = intakes.go_on(vm) - stopped
        elif not go_on:
            vm.quit()
    return Snapshot(spool.memory, np.frombuffer(spool.held, np.bool_), state, current, pause)


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
    """How programs of QEMU are given a qcow2 file on a base: the file itself does not name it."""
    return "json:" + json.dumps(layers.described([disk], base.path("disk")))


def disk_changes(base: Base, disk: Path, lower: Lower | None = None) -> Changes:
    """The pages of a disk that differ from the base's; ``disk`` is a qcow2 file on it, or on ``lower``."""
    held = disk.read_bytes() if disk.stat().st_size else b""
    known = np.asarray(base.listed("disk")["page"], np.uint32)
    if lower:
        known = np.union1d(known, lower.changed)
    numbers, content = [np.empty(0, np.uint32)], [np.empty((0, PAGE), np.uint8)]
    above = [np.empty(0, np.uint32)]
    for extent in layers.extents([disk], lower.path if lower else base.path("disk")):
        first, end = extent.first, extent.end
        above.append(np.arange(first, end, dtype=np.uint32))
        if extent.offset < 0:
            low, high = np.searchsorted(known, [first, end])
            numbers.append(known[low:high])
            content.append(np.zeros((high - low, PAGE), np.uint8))
        else:
            new = as_pages(held[extent.offset : extent.offset + (end - first) * PAGE])
            differs = np.flatnonzero(differing(base.disk[first:end], new))
            numbers.append((differs + first).astype(np.uint32))
            content.append(new[differs])
    if lower:
        rest = np.setdiff1d(lower.changed, np.concatenate(above))
        numbers.append(rest)
        content.append(open_pages(lower.path)[rest])
    every, pages = np.concatenate(numbers), np.concatenate(content)
    order = np.argsort(every, kind="stable") if lower else slice(None)
    return Changes(every[order], pages[order])
