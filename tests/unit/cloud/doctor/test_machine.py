"""The machine: disks and clocks."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.samples.doctor import said

from skerry.cloud.doctor.machine import GIB, jumped, room


@pytest.mark.parametrize(
    ("free", "total", "inodes", "told"),
    [
        (50, 100, 0.9, []),
        (0.5, 100, 0.9, ["error: the disk is full: 0.50 GiB are left at /x"]),
        (3, 100, 0.9, ["warning: the disk is almost full: 3.0 GiB are left at /x"]),
        (3, 20, 0.9, []),
        (0.4, 0.5, 0.9, []),
        (50, 100, 0.01, ["error: 1% of the inodes are left at /x"]),
    ],
)
def test_disks(free: float, total: float, inodes: float, told: list[str]) -> None:
    assert said(room(Path("/x"), int(free * GIB), int(total * GIB), inodes)) == told


@pytest.mark.parametrize(
    ("jumps", "told"),
    [
        ([], []),
        ([0.1, -0.5, 0.3], []),
        (
            [3600.0, 3600.2, 0.0],
            ["warning: the clock was set forward by about 3600 s while the services ran"],
        ),
        ([-90.0, -90.0, -89.0], ["warning: the clock was set back by about 90 s while the services ran"]),
    ],
)
def test_clocks(jumps: list[float], told: list[str]) -> None:
    assert said(jumped(jumps)) == told
