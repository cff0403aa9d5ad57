"""Which level of compression gets pages over soonest, on this host and over this link.

Compression and sending overlap, so that the slower of the two sets the pace: after the model of throughput,
min(CPU, network), of "You Can Teach Elephants to Dance: Agile VM Handoff for Edge Computing" (SEC 2017). Speeds and
ratios begin with those of a server's pages on one core, and are corrected by what is measured.
"""

from __future__ import annotations

from collections import deque

_SPEED = {1: 400e6, 3: 250e6, 6: 105e6, 9: 50e6, 12: 21e6, 15: 4.6e6, 19: 2.2e6}  # bytes in a second
_RATIO = {1: 0.444, 3: 0.372, 6: 0.338, 9: 0.304, 12: 0.299, 15: 0.291, 19: 0.271}
_RECENT = 2.0  # seconds of the link's work
_AS_GOOD = 1.03
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
        """The fastest of those that are as good as the best: the guest wants the processors, too."""
        good = min(map(self._pace, _SPEED)) * _AS_GOOD
        return min(level for level in _SPEED if self._pace(level) <= good)

    def _pace(self, level: int) -> float:
        """Seconds that a byte takes."""
        cpu = 1 / (self._cores * _SPEED[level] * self._faster)
        return max(cpu, _RATIO[level] * self._larger / self.bandwidth)

    def packed(self, level: int, raw: int, size: int, seconds: float) -> None:
        """``raw`` bytes became ``size`` within ``seconds``, beside whatever else ran."""
        if raw < 1 << 18:
            return  # too few to measure
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
