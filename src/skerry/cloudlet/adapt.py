"""Which level of compression gets pages over soonest, on this host and over this link.

Compression and sending overlap, so that the slower of the two sets the pace: after the model of throughput,
min(CPU, network), of "You Can Teach Elephants to Dance: Agile VM Handoff for Edge Computing" (SEC 2017). Speeds and
ratios begin with those of a server's pages on one core, and are corrected by what is measured.
"""

from __future__ import annotations

from collections import deque

_SPEED = {1: 350e6, 3: 230e6, 6: 90e6, 9: 50e6, 12: 22e6, 15: 9e6, 19: 2.5e6}  # bytes in a second
_RATIO = {1: 0.36, 3: 0.33, 6: 0.30, 9: 0.285, 12: 0.28, 15: 0.265, 19: 0.25}
_RECENT = 2.0  # seconds of the link's work
_NEW = 0.4  # the weight of a new measurement


class Adapt:
    """``bandwidth`` is in bytes per second: what is thought of the link before it is known."""

    def __init__(self, cores: int, bandwidth: float = 25e6 / 8) -> None:
        self._cores = max(1, cores)
        self._seen = deque([(bandwidth * _RECENT / 4, _RECENT / 4)])
        self._faster = 1.0
        self._larger = 1.0

    @property
    def bandwidth(self) -> float:
        return sum(size for size, _ in self._seen) / sum(seconds for _, seconds in self._seen)

    def level(self) -> int:
        return min(_SPEED, key=lambda level: (self._pace(level), level))

    def _pace(self, level: int) -> float:
        """Seconds that a byte takes."""
        cpu = 1 / (self._cores * _SPEED[level] * self._faster)
        return max(cpu, _RATIO[level] * self._larger / self.bandwidth)

    def packed(self, level: int, raw: int, size: int, seconds: float) -> None:
        """``raw`` bytes became ``size`` within ``seconds``, beside whatever else ran."""
        if raw < 1 << 18:
            return  # too few to tell
        self._faster += _NEW * (raw / max(seconds, 1e-6) / _SPEED[level] - self._faster)
        self._larger += _NEW * (size / raw / _RATIO[level] - self._larger)

    def delivered(self, size: int, seconds: float) -> None:
        """``size`` bytes arrived within ``seconds``: a mean over a while, since buffers let some pass at once."""
        self._seen.append((size, max(seconds, 1e-6)))
        while sum(seconds for _, seconds in self._seen) - self._seen[0][1] > _RECENT:
            self._seen.popleft()

    def pages(self, seconds: float) -> int:
        """How many changed pages go over within that time."""
        return int(seconds / self._pace(self.level()) / 4096)
