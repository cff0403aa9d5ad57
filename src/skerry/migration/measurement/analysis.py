"""What a trace of probes shows about a migration.

The figure that counts for a user is the network downtime: the longest time in which no reply came back. Packets that are
held and delivered late are not lost, so that loss alone would not show it.
"""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import asdict, dataclass

from skerry.migration.measurement.probe import Trace


@dataclass(frozen=True)
class Delay:
    """Round-trip times of a stretch of time, in milliseconds; None where no reply came back."""

    p50: float | None
    p99: float | None
    longest: float | None


@dataclass(frozen=True)
class ByLoss:
    """The thesis' method on a trace: probes of one a second, their mean round trip and the product, in milliseconds."""

    sent: int
    lost: int
    rtt: float
    downtime: float


@dataclass(frozen=True)
class Figures:
    """What one migration did to the network. Times in milliseconds."""

    network_downtime: float  # the longest time without a reply, from the request for the migration on
    gaps: float  # all times without a reply that are longer than three intervals, added
    sent: int
    lost: int
    jitter: float  # RFC 3550, 6.4.1, on the round trip
    before: Delay
    during: Delay
    after: Delay
    lateness: float  # the longest time by which a request left later than planned
    by_loss: ByLoss
    spacing: (
        float | None
    )  # median time between two replies during the migration, which Table 4 takes for downtime

    @property
    def trustworthy(self) -> bool:
        """False when the prober itself was held up by as long as what it measured."""
        return self.lateness < max(self.network_downtime / 2, 1.0)

    def to_dict(self) -> dict[str, object]:
        return {**asdict(self), "trustworthy": self.trustworthy}


def figures(trace: Trace, started: float, ended: float) -> Figures:
    """The figures of a migration that lasted from ``started`` to ``ended`` (seconds of the trace's clock).

    Raises ValueError for a trace without a single reply.
    """
    replies = sorted(at for at in trace.received if at is not None)
    if not replies:
        raise ValueError("no reply came back at all")
    # What was silent before the migration was asked for is not its doing. If nobody answers in the end, the silence was
    # at least as long as it was probed.
    edges = [*replies, max(replies[-1], trace.sent[-1])]
    silences = [later - earlier for earlier, later in itertools.pairwise(edges) if later > started]
    longest = max(silences, default=0.0)
    rtts = [
        (sent, (back - sent) * 1000)
        for sent, back in zip(trace.sent, trace.received, strict=True)
        if back is not None
    ]
    lateness = max(
        (sent - planned for sent, planned in zip(trace.sent, trace.planned, strict=True)), default=0.0
    )
    return Figures(
        network_downtime=longest * 1000,
        gaps=sum(gap for gap in silences if gap > 3 * trace.interval) * 1000,
        sent=len(trace.sent),
        lost=sum(back is None for back in trace.received),
        jitter=jitter([rtt for _, rtt in rtts]),
        before=_delay([rtt for sent, rtt in rtts if sent < started]),
        during=_delay([rtt for sent, rtt in rtts if started <= sent <= ended]),
        after=_delay([rtt for sent, rtt in rtts if sent > ended]),
        lateness=lateness * 1000,
        by_loss=by_loss_and_delay(trace),
        spacing=_median_ms(
            [later - earlier for earlier, later in itertools.pairwise(replies) if started <= earlier <= ended]
        ),
    )


def by_loss_and_delay(trace: Trace, every: float = 1.0) -> ByLoss:
    """The thesis' downtime: probes lost (of one a second) times the average round trip.

    A lost probe shows that nothing answered for up to its interval, not for a round trip; kept to show what it gives on
    the same data.
    """
    chosen: list[float | None] = []
    due = trace.sent[0] if trace.sent else 0.0
    for sent, back in zip(trace.sent, trace.received, strict=True):
        if sent >= due:
            chosen.append(None if back is None else (back - sent) * 1000)
            due += every
    known = [rtt for rtt in chosen if rtt is not None]
    lost = len(chosen) - len(known)
    mean = statistics.fmean(known) if known else 0.0
    return ByLoss(len(chosen), lost, mean, lost * mean)


def jitter(rtts: list[float]) -> float:
    """The running estimate of RFC 3550, 6.4.1, over consecutive round-trip times, in their unit."""
    estimate = 0.0
    for one, other in itertools.pairwise(rtts):
        estimate += (abs(other - one) - estimate) / 16
    return estimate


def quantile(values: list[float], share: float) -> float:
    """The nearest-rank quantile. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _delay(rtts: list[float]) -> Delay:
    if not rtts:
        return Delay(None, None, None)
    return Delay(quantile(rtts, 0.5), quantile(rtts, 0.99), max(rtts))


def _median_ms(seconds: list[float]) -> float | None:
    return statistics.median(seconds) * 1000 if seconds else None
