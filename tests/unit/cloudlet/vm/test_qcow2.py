"""Disk files, read back by qemu-img."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from skerry.cloudlet.overlay.pages import PAGE
from skerry.cloudlet.vm.qcow2 import Writer


@pytest.mark.parametrize("pages", [1, 512, 513, 5000, 300_000])
def test_disks_are_what_was_written(tmp_path: Path, pages: int) -> None:
    if not shutil.which("qemu-img"):
        pytest.skip("qemu-img is not installed")
    random = np.random.default_rng(pages)
    numbers = random.permutation(pages)[:50].astype(np.uint32)
    content = random.integers(0, 256, (len(numbers), PAGE), np.uint8)
    content[::7] = 0
    writer = Writer(tmp_path / "disk", pages)
    writer.write(numbers[:20], content[:20])
    writer.write(numbers[20:], content[20:])
    writer.finish()
    subprocess.run(["qemu-img", "check", "-q", tmp_path / "disk"], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "raw", tmp_path / "disk", tmp_path / "raw"], check=True)
    raw = np.memmap(tmp_path / "raw", np.uint8, "r").reshape(-1, PAGE)
    assert len(raw) == pages and np.array_equal(raw[numbers], content)
    others = np.setdiff1d(np.arange(min(pages, 5000)), numbers)
    assert not raw[others].any()
