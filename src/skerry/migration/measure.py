"""One migration, or many in a row, with the probe running from before to after."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from skerry.migration.analysis import Figures, figures
from skerry.migration.probe import Probe

AROUND = 2.0  # seconds of probing before and after: what 'before' and 'after' are taken from


class Moving(Protocol):
    """A server that can be moved; see ``skerry.migration.nova`` for the one of a cloud."""

    def move(self) -> Outcome:
        """Move it to another host and wait until that has ended, well or not."""

    def counters(self) -> dict[str, float]:
        """The hypervisor's own figures of the last migration, empty when it tells none."""


@dataclass(frozen=True)
class Outcome:
    """How a migration went: hosts, and the reason when it failed. Times in seconds of the monotonic clock."""

    source: str
    destination: str
    begun: float
    ended: float
    failure: str | None = None

    @property
    def seconds(self) -> float:
        """From the request to the server being there and nothing left to do."""
        return self.ended - self.begun


@dataclass(frozen=True)
class Round:
    """One migration and its figures; None where it failed or nothing answered."""

    outcome: Outcome
    figures: Figures | None
    counters: dict[str, float]

    def row(self) -> dict[str, object]:
        """Flat, for CSV and JSON. Times in milliseconds, but ``seconds``."""
        flat: dict[str, object] = {
            "source": self.outcome.source,
            "destination": self.outcome.destination,
            "seconds": round(self.outcome.seconds, 3),
            "failure": self.outcome.failure or "",
        }
        if self.figures is not None:
            for name, value in self.figures.to_dict().items():
                inner = value if isinstance(value, dict) else {"": value}
                flat |= {f"{name}_{key}".rstrip("_"): _rounded(part) for key, part in inner.items()}
        return flat | {f"qemu_{name}": value for name, value in self.counters.items()}


def rounds(
    moving: Moving, address: str, times: int, say: Callable[[str], None], interval: float = 0.01
) -> Iterator[Round]:
    """Move a server ``times`` times, probing ``address`` each ``interval`` seconds.

    Ends after the first migration that fails: its server is where it was. Raises PreflightError (no raw sockets).
    """
    for number in range(1, times + 1):
        with Probe(address, interval) as probe:
            time.sleep(AROUND)
            outcome = moving.move()
            time.sleep(AROUND)
        try:
            found = figures(probe.trace, outcome.begun, outcome.ended)
        except ValueError:
            found = None
        done = Round(outcome, found, {} if outcome.failure else moving.counters())
        say(_told(number, times, done))
        yield done
        if outcome.failure:
            return


def _told(number: int, times: int, done: Round) -> str:
    way = f"{number} of {times}: {done.outcome.source} -> {done.outcome.destination}"
    if done.outcome.failure:
        return f"{way} failed: {done.outcome.failure}"
    if done.figures is None:
        return f"{way} {done.outcome.seconds:.2f} s; nothing answered the probes"
    late = (
        ""
        if done.figures.trustworthy
        else f"; not counted: the prober was {done.figures.lateness:.0f} ms late"
    )
    return (
        f"{way} {done.outcome.seconds:.2f} s, network downtime {done.figures.network_downtime:.0f} ms,"
        f" {done.figures.lost} of {done.figures.sent} lost{late}"
    )


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
