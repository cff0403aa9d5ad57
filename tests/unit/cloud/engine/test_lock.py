"""Who waits for whom: everybody for the daily upkeep, nobody for others."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from skerry.cloud.engine.lock import UPKEEP, exclusive
from skerry.cloud.model.layout import Layout
from skerry.common.errors import BusyError


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.at(tmp_path)


def test_a_full_disk_keeps_nobody_from_holding_it(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """'down', 'destroy' and 'doctor' hold it, too."""

    def full(*words: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with exclusive(layout, "down"), pytest.raises(BusyError), exclusive(layout, "up"):
        pass


def hold(layout: Layout, verb: str, seconds: float) -> threading.Thread:
    """Hold the lock in a thread of its own for some time."""
    has = threading.Event()

    def work() -> None:
        with exclusive(layout, verb):
            has.set()
            time.sleep(seconds)

    thread = threading.Thread(target=work)
    thread.start()
    assert has.wait(5)
    return thread


def test_a_verb_waits_for_a_task_of_the_upkeep(layout: Layout) -> None:
    thread = hold(layout, UPKEEP, 0.6)
    started = time.monotonic()
    with exclusive(layout, "up"):
        assert time.monotonic() - started > 0.2
    thread.join()


@pytest.mark.parametrize(
    ("has", "wants", "wait"),
    [("up", "down", 60), ("up", UPKEEP, 60), (UPKEEP, UPKEEP, 60), (UPKEEP, "down", 0)],
)
def test_nobody_else_waits(layout: Layout, has: str, wants: str, wait: float) -> None:
    thread = hold(layout, has, 0.6)
    started = time.monotonic()
    with pytest.raises(BusyError, match=f"skerry {has}"), exclusive(layout, wants, wait=wait):
        pass
    assert time.monotonic() - started < 0.4
    thread.join()
