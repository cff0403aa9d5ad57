"""A clock for deadlines: its seconds are those of an idle machine, and pass more slowly on one that is busy.

A deadline bounds how long work may take that a machine is there for. Where processes share the cores with others,
all take longer and none of them has failed: the clock slows down by as many as want each core.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

LONGEST_LOOK = (
    1.0  # seconds: a longer gap between two looks (a machine that was suspended) counts as this much
)


def load() -> float:
    """How many processes want each core at this moment, besides the caller; at least 1, and 1 where it is unknown."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return 1.0
    running = next((int(line.split()[1]) for line in lines if line.startswith("procs_running ")), 1)
    return max(1.0, (running - 1) / (os.cpu_count() or 1))


class Clock:
    """Seconds since it was made, as far as the machine had them to give. It is right when it is read often.

    ``slow`` is how many times slower this machine computes than the one for which deadlines are meant.
    """

    def __init__(
        self,
        slow: float = 1.0,
        load: Callable[[], float] = load,
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slow, self._load, self._wall = slow, load, wall
        self._lock = threading.Lock()
        self._seen, self._counted = wall(), 0.0

    def now(self) -> float:
        """The seconds so far, never more than on the wall."""
        with self._lock:
            moment = self._wall()
            self._counted += min(moment - self._seen, LONGEST_LOOK) / (self.slow * self._load())
            self._seen = moment
            return self._counted
