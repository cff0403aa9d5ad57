"""Room that is given up when the disk is full."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from skerry.cloud.context import Context
from skerry.cloud.doctor.base import Patient
from skerry.cloud.doctor.machine import DiskSpace
from skerry.cloud.steps import reserve
from skerry.cloud.steps.reserve import Reserve, free_when_full, held, size

Usage = namedtuple("Usage", "total used free")
GIB, MIB = 1 << 30, 1 << 20


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    (tmp_path / "etc/skerry").mkdir(parents=True)
    (tmp_path / "etc/skerry/cloud.toml").write_text("")
    found = Context.at(tmp_path)
    found.layout.state.mkdir(parents=True)
    return found


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Let the disk have so many bytes free, of so many."""

    def have(free: int, total: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(total, total - free, free))

    return have


def test_it_is_made_where_there_is_room(ctx: Context, disk: Callable[[int, int], None]) -> None:
    disk(9 * GIB, 10 * GIB)
    step = Reserve(ctx)
    assert [str(change) for change in step.check()] == [f"reserve 160 MiB in {ctx.layout.reserve}"]
    step.apply(print)
    step.verify()
    found = ctx.layout.reserve.stat()
    assert (
        held(ctx.layout) == 160 * MIB
        and found.st_blocks * 512 >= 160 * MIB
        and found.st_mode & 0o777 == 0o600
    )


@pytest.mark.parametrize(("free", "total"), [(2 * GIB, 10 * GIB), (100 * MIB, 1 * GIB), (0, 500 * GIB)])
def test_not_where_it_would_fill_the_disk(
    ctx: Context, disk: Callable[[int, int], None], free: int, total: int
) -> None:
    disk(free, total)
    assert Reserve(ctx).check() == []


def test_it_is_never_large() -> None:
    assert size(1000 * GIB) == 256 * MIB and size(8 * GIB) == 128 * MIB


def test_it_is_given_up_when_the_disk_is_full_and_not_before(
    ctx: Context, disk: Callable[[int, int], None]
) -> None:
    ctx.layout.reserve.write_bytes(bytes(MIB))
    disk(101 * MIB, 10 * GIB)
    assert free_when_full(ctx.layout) is None and held(ctx.layout) == MIB
    disk(0, 10 * GIB)
    told = free_when_full(ctx.layout)
    assert told is not None and "the disk is full: 1 MiB" in told and held(ctx.layout) == 0
    assert free_when_full(ctx.layout) is None, "there is none any more"


def test_the_doctor_gives_it_up_when_it_is_asked_to(ctx: Context, disk: Callable[[int, int], None]) -> None:
    ctx.layout.reserve.write_bytes(bytes(MIB))
    disk(reserve.FULL - 1, 100 * GIB)
    finding = next(iter(DiskSpace().findings(Patient(ctx, {}, True))))
    assert "the disk is full" in finding.what and finding.fix is not None
    assert "freed the 1 MiB" in finding.fix()
    assert held(ctx.layout) == 0
    finding = next(iter(DiskSpace().findings(Patient(ctx, {}, True))))
    assert "the disk is full" in finding.what and finding.fix is None
