"""Deadlines that a slow or busy machine does not miss: they are counted in seconds of an idle reference machine.

A deadline is what a user is promised. A test that shares two cores with others waits longer for the same
work, so its clock runs slower: by how much slower the machine computes than the reference, and by how many
processes want each of its cores (`skerry.common.clock`). Deadlines and measured times are read from it.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from skerry.common.clock import Clock

T = TypeVar("T")
REFERENCE = 0.0115  # CPU seconds of `_work` on the reference machine
EVERY = 0.1  # seconds between two looks at the machine's load
BUSY = 4.0  # processes per core up to which a program that works is not taken for one that hangs


def _work() -> float:
    """CPU seconds that a fixed piece of work takes."""
    started = time.thread_time()
    total = 0
    for number in range(200_000):
        total ^= number * number
    return time.thread_time() - started


@cache
def slowness() -> float:
    """How many times slower this machine computes than the reference; at least 1. Measured once per process."""
    return max(1.0, min(_work() for _ in range(5)) / REFERENCE)


@cache
def clock() -> Clock:
    """The clock of this process."""
    made = Clock(slowness())

    def look() -> None:
        while True:
            time.sleep(EVERY)
            made.now()

    threading.Thread(target=look, name="clock", daemon=True).start()
    return made


def within(deadline: float, what: str, probe: Callable[[], T], every: float = 0.2) -> T:
    """The first true result of ``probe``; AssertionError when it comes later than ``deadline`` seconds of the clock."""
    started, wall = clock().now(), time.monotonic()
    while True:
        found = probe()
        if found:
            return found
        if clock().now() - started > deadline:
            took = time.monotonic() - wall
            raise AssertionError(f"{what}: not within {deadline:g} s ({took:.0f} s on this machine's wall)")
        time.sleep(every)


class Stopwatch:
    """Measures a block: ``with Stopwatch() as watch: ...``, then ``watch.seconds`` of the clock.

    ``watch.stretch`` is how much longer it was on the wall, at least 1: for times that a program measured itself.
    """

    seconds, stretch = 0.0, 1.0

    def __enter__(self) -> Stopwatch:
        self._begun, self._wall = clock().now(), time.monotonic()
        return self

    def __exit__(self, *raised: object) -> None:
        self.seconds = clock().now() - self._begun
        self.stretch = max(1.0, (time.monotonic() - self._wall) / max(self.seconds, 1e-9))


def at_most(seconds: float) -> float:
    """For programs that only take a timeout of the wall: so much time that only what hangs needs more."""
    return seconds * slowness() * BUSY


@contextmanager
def alarm(seconds: float, late: Callable[[], object]) -> Iterator[None]:
    """Call ``late`` in the main thread once ``seconds`` of the clock are over while the block runs."""
    end, over = clock().now() + seconds, threading.Event()

    def look() -> None:
        while not over.wait(EVERY):
            if clock().now() > end:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
                return

    before = signal.signal(signal.SIGALRM, lambda number, frame: None if over.is_set() else late())
    thread = threading.Thread(target=look, name="alarm", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGALRM, before)
