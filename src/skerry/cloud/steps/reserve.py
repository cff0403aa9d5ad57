"""A file that is nothing but room: on a full disk it is removed, so that services can end, start and be used to delete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.cloud.model.layout import Layout

MOST, SHARE = 256 << 20, 64  # bytes, and what part of the disk at most
FULL = 100 << 20  # bytes that are left when a disk counts as full: the broker stops there, too
ROOMY = 2 << 30  # bytes that must be left beside the reserve for it to be made


class Reserve(Step):
    """The reserve is there; once it was used, it comes back when there is room again."""

    name = "reserve"
    title = "room for the day when the disk is full"
    needs = ("machine",)
    cost = 0.1

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def check(self) -> list[Change]:
        usage = shutil.disk_usage(_place(self.ctx.layout))
        wanted = size(usage.total)
        if held(self.ctx.layout) >= wanted or usage.free < wanted + ROOMY:
            return []
        return [Change(f"reserve {wanted >> 20} MiB in {self.ctx.layout.reserve}")]

    def apply(self, report: Callable[[str], None]) -> None:
        path = self.ctx.layout.reserve
        wanted = size(shutil.disk_usage(path.parent).total)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(handle, 0, wanted)
        except BaseException:
            path.unlink()
            raise
        finally:
            os.close(handle)


def size(total: int) -> int:
    """How many bytes are reserved on a disk of ``total`` bytes."""
    return min(MOST, total // SHARE)


def held(layout: Layout) -> int:
    """The bytes of the reserve that is there."""
    try:
        return layout.reserve.stat().st_size
    except OSError:
        return 0


def free(layout: Layout) -> int:
    """Give the reserve up; returns its bytes."""
    freed = held(layout)
    layout.reserve.unlink(missing_ok=True)
    return freed


def free_when_full(layout: Layout) -> str | None:
    """Give the reserve up when the cloud's disk is full; returns what was done, for the user."""
    if not held(layout) or shutil.disk_usage(_place(layout)).free >= FULL:
        return None
    return (
        f"the disk is full: {free(layout) >> 20} MiB that were kept for this are free now ({layout.reserve})"
    )


def _place(layout: Layout) -> str:
    place = layout.state
    while not place.exists():
        place = place.parent
    return str(place)
