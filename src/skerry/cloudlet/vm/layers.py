"""Disk files on the one that a guest writes to: what is below does not change and can be read while the guest runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skerry.cloudlet.overlay.encoder import Changes
from skerry.cloudlet.overlay.machine import DISK_NODE
from skerry.cloudlet.overlay.pages import PAGE, as_pages
from skerry.cloudlet.vm.process import Vm, own_to
from skerry.common.proc import run

_NODE = "disk-"


def nodes(vm: Vm) -> list[str]:
    """QEMU's names of the layers that there are, the lowest first."""
    found = [node.get("node-name", "") for node in vm.qmp("query-named-block-nodes", flat=True)]
    return sorted(
        (name for name in found if name.startswith(_NODE)), key=lambda name: int(name[len(_NODE) :])
    )


def file_of(vm: Vm, node: str) -> Path:
    return vm.folder / f"{node}.qcow2"


def prepare(vm: Vm, below: Path) -> str:
    """Have the next file ready, so that the switch to it takes no time; returns its node. ``below`` is the top now."""
    node = f"{_NODE}{len(nodes(vm)) + 1}"
    info = json.loads(run(["qemu-img", "info", "-U", "--output=json", str(below)]).stdout)
    path = file_of(vm, node)
    path.unlink(missing_ok=True)
    words = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-o", "cluster_size=4096", "-b", str(below)]
    run([*words, "-F", "qcow2", str(path), str(info["virtual-size"])])
    own_to(vm.folder, path)
    file = {"driver": "file", "filename": str(path), "discard": "unmap"}
    vm.qmp("blockdev-add", driver="qcow2", node_name=node, file=file, backing=None, discard="unmap")
    return node


def switch(vm: Vm, node: str) -> None:
    """From now on the guest writes to this layer."""
    below = [name for name in nodes(vm) if name != node]
    vm.qmp("blockdev-snapshot", node=below[-1] if below else DISK_NODE, overlay=node)


def writes(vm: Vm) -> tuple[int, ...]:
    """Counts that change whenever the guest writes to its disk, or trims it."""
    (stats,) = [each["stats"] for each in vm.qmp("query-blockstats") if "vda" in each.get("qdev", "")]
    return (stats["wr_operations"], stats["unmap_operations"])


def settle(vm: Vm) -> None:
    """Merge all layers back into the guest's one disk file, while it runs on."""
    names = nodes(vm)
    in_use = {device.get("inserted", {}).get("node-name") for device in vm.qmp("query-block")}
    if names and names[-1] in in_use:
        vm.qmp("block-commit", job_id="settle", device=names[-1], base_node=DISK_NODE)
        vm.qmp.wait("BLOCK_JOB_READY", 120, device="settle")
        vm.qmp("job-complete", id="settle")
        vm.qmp.wait("BLOCK_JOB_COMPLETED", 120, device="settle")
    for name in reversed(names):
        vm.qmp("blockdev-del", node_name=name)
    for path in vm.folder.glob(f"{_NODE}*.qcow2"):  # and those of a killed verb that QEMU never had
        path.unlink()


@dataclass(frozen=True)
class Extent:
    """Neighbouring pages that the top file holds: from ``first`` to before ``end``, at ``offset``, or zeros (-1)."""

    first: int
    end: int
    offset: int


def extents(files: list[Path], lowest: Path) -> Iterator[Extent]:
    """What the top one of these qcow2 files holds itself, in order."""
    name = "json:" + json.dumps(described(files, lowest))
    for each in json.loads(run(["qemu-img", "map", "-U", "--output=json", name]).stdout):
        if each["depth"] == 0:
            first, end = each["start"] // PAGE, (each["start"] + each["length"]) // PAGE
            yield Extent(first, end, -1 if each["zero"] or not each["data"] else each["offset"])


def changes(files: list[Path], lowest: Path) -> Changes:
    """All pages that the top file holds."""
    held = files[0].read_bytes()
    numbers, content = [np.empty(0, np.uint32)], [np.empty((0, PAGE), np.uint8)]
    for each in extents(files, lowest):
        count = each.end - each.first
        numbers.append(np.arange(each.first, each.end, dtype=np.uint32))
        content.append(
            np.zeros((count, PAGE), np.uint8)
            if each.offset < 0
            else as_pages(held[each.offset : each.offset + count * PAGE])
        )
    return Changes(np.concatenate(numbers), np.concatenate(content))


def described(files: list[Path], lowest: Path) -> dict[str, Any]:
    """QEMU's description of qcow2 files, the top first, on a raw file."""
    disk: dict[str, Any] = {
        "driver": "raw",
        "read-only": True,
        "file": {"driver": "file", "filename": str(lowest), "read-only": True, "locking": "off"},
    }
    for path in reversed(files):
        disk = {"driver": "qcow2", "file": {"driver": "file", "filename": str(path)}, "backing": disk}
    return disk
