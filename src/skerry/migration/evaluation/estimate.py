"""Figures of many runs: medians with bootstrap confidence intervals, and the model of pre-copy fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

SHARE = 0.95
DRAWS = 4000

Row = dict[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A median with its confidence interval, in the unit of the values, and how many there were."""

    median: float
    low: float
    high: float
    count: int


def median(values: Sequence[float], seed: int = 1) -> Estimate | None:
    """The median with a percentile bootstrap interval (Efron 1979) of 95 %; None for no values."""
    if not values:
        return None
    array = numpy.asarray(values, dtype=float)
    draws = numpy.random.default_rng(seed).integers(0, len(array), (DRAWS, len(array)))
    medians = numpy.median(array[draws], axis=1)
    tail = (1 - SHARE) / 2
    low, high = numpy.quantile(medians, (tail, 1 - tail))
    return Estimate(float(numpy.median(array)), float(low), float(high), len(array))


def counts(row: Row) -> bool:
    """Whether a run is one to count: it did not fail, something answered, and the prober was in time."""
    return not row.get("failure") and bool(row.get("trustworthy"))


def values(rows: Sequence[Row], name: str) -> list[float]:
    """The figures of the runs that count and have it."""
    return [float(row[name]) for row in rows if counts(row) and row.get(name) not in (None, "")]


@dataclass(frozen=True)
class Fit:
    """T = T0 + V/(B - D): seconds that no bandwidth changes, MiB that are moved, and the share of scatter explained."""

    fixed: float
    volume: float
    explained: float  # R squared
    count: int

    def seconds(self, bandwidth: float, dirty: float) -> float:
        """What it predicts for a bandwidth and a dirty rate in MiB/s; infinite where memory is written faster than sent."""
        return self.fixed + self.volume / (bandwidth - dirty) if bandwidth > dirty else float("inf")


def fit(points: Sequence[tuple[float, float, float]]) -> Fit | None:
    """Least squares over (bandwidth, dirty rate, seconds) of runs with a known bandwidth; None for too few.

    The model is that of Clark et al., NSDI 2005: each round sends what was written during the one before, so that the
    rounds are a geometric series with the sum V/(B - D).
    """
    usable = [(1 / (bandwidth - dirty), seconds) for bandwidth, dirty, seconds in points if bandwidth > dirty]
    if len({round(x, 6) for x, _ in usable}) < 2:
        return None
    x, y = (numpy.asarray(column) for column in zip(*usable, strict=True))
    (volume, fixed), *_ = numpy.linalg.lstsq(numpy.column_stack([x, numpy.ones_like(x)]), y, rcond=None)
    rest = float(numpy.sum((y - (fixed + volume * x)) ** 2))
    scatter = float(numpy.sum((y - y.mean()) ** 2))
    return Fit(float(fixed), float(volume), 1 - rest / scatter if scatter else 0.0, len(usable))
