"""Which level of compression gets pages over soonest, on this host and over this link.

Compression and sending overlap, so that the slower of the two sets the pace: after the model of throughput,
min(CPU, network), of "You Can Teach Elephants to Dance: Agile VM Handoff for Edge Computing" (SEC 2017). Speeds and
ratios begin with those of a server's pages on one core, and are corrected by what is measured.
"""

from __future__ import annotations

_SPEED = {1: 350e6, 3: 230e6, 6: 90e6, 9: 50e6, 12: 22e6, 15: 9e6, 19: 2.5e6}  # bytes in a second
_RATIO = {1: 0.36, 3: 0.33, 6: 0.30, 9: 0.285, 12: 0.28, 15: 0.265, 19: 0.25}
_NEW = 0.4  # the weight of a new measurement


class Adapt:
    """``bandwidth`` is in bytes per second: the link's, as far as it is known."""

    def __init__(self, cores: int, bandwidth: float = 25e6 / 8) -> None:
        self._cores = max(1, cores)
        self.bandwidth = bandwidth
        self._faster = 1.0
        self._larger = 1.0

    def level(self) -> int:
        def pace(level: int) -> float:
            """Seconds that a byte takes."""
            cpu = 1 / (self._cores * _SPEED[level] * self._faster)
            return max(cpu, _RATIO[level] * self._larger / self.bandwidth)

        return min(_SPEED, key=lambda level: (pace(level), level))

    def packed(self, level: int, raw: int, size: int, seconds: float) -> None:
        """``raw`` bytes became ``size`` within ``seconds`` of one core."""
        if raw < 1 << 18:
            return  # too few to tell
        self._faster += _NEW * (raw / max(seconds, 1e-6) / _SPEED[level] - self._faster)
        self._larger += _NEW * (size / raw / _RATIO[level] - self._larger)

    def delivered(self, size: int, seconds: float) -> None:
        """``size`` bytes arrived within ``seconds``."""
        if size >= 1 << 16:
            self.bandwidth += _NEW * (size / max(seconds, 1e-6) - self.bandwidth)

    def pages(self, seconds: float) -> int:
        """How many changed pages the link takes within that time."""
        return int(seconds * self.bandwidth / (4096 * 0.3 * self._larger))
