"""Waiting for facts, never for time: the answer, or what was missing at the timeout."""

from __future__ import annotations

import time
from collections.abc import Callable

from skerry.common import interrupt
from skerry.common.clock import Clock
from skerry.common.errors import NotReadyError


def wait_for(what: str, lack: Callable[[], str | None], seconds: float, every: float = 0.5) -> float:
    """Ask ``lack`` until it returns None; returns the seconds that it took.

    Raises NotReadyError with the last answer when ``seconds`` are over, counted as those of an idle machine, and
    InterruptError when the verb was interrupted.
    """
    started, clock = time.monotonic(), Clock()
    while True:
        interrupt.check()
        missing = lack()
        waited = time.monotonic() - started
        if missing is None:
            return waited
        if clock.now() > seconds:
            raise NotReadyError(what, f"{waited:.0f}", missing)
        time.sleep(every)
