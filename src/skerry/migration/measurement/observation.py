"""One migration, with the probe running from before to after, and all that is seen of it."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from skerry.common.clock import Clock
from skerry.migration.measurement.analysis import Figures, figures
from skerry.migration.measurement.capture import Captures
from skerry.migration.measurement.probe import EchoProbe, Trace
from skerry.migration.measurement.qemu import Sampler, job_figures
from skerry.migration.nova import Outcome, Server
from skerry.migration.plan import Mode
from skerry.migration.site import Site

AROUND = 2.0  # seconds of probing before and after: what 'before' and 'after' are taken from
FOUND = 15.0  # seconds, as of an idle machine, for an address to be in reach, before a migration and after it
LATEST_SWITCH = 20.0  # seconds of the first round after which post-copy begins at the latest


@dataclass(frozen=True)
class Round:
    """One migration and its figures; None where nothing answered."""

    outcome: Outcome
    figures: Figures | None
    udp: Figures | None
    private: Figures | None  # of the private address, seen from among the servers
    counters: dict[str, float]
    at: str  # when it began, ISO 8601, UTC
    guest: dict[str, object] = field(default_factory=dict)

    def row(self) -> dict[str, object]:
        """Flat, for CSV and JSON. Times in milliseconds, but ``seconds``."""
        flat: dict[str, object] = {
            "at": self.at,
            "source": self.outcome.source,
            "destination": self.outcome.destination,
            "seconds": round(self.outcome.seconds, 3),
            "failure": self.outcome.failure or "",
            "post_copy": self.outcome.post_copy,
        }
        if self.figures is not None:
            flat |= _flat(self.figures)
        if self.udp is not None:
            flat |= {f"udp_{name}": value for name, value in _flat(self.udp).items()}
        if self.private is not None:
            flat |= {f"private_{name}": value for name, value in _flat(self.private).items()}
        flat |= {f"qemu_{name}": value for name, value in self.counters.items()}
        moved, total = self.counters.get("moved"), self.counters.get("total")
        if moved and total:
            flat["throughput"] = round(moved / total * 1000, 3)  # MiB/s, while it lasted
        return flat | self.guest

    def told(self) -> str:
        """One line for people."""
        way = f"{self.outcome.source} -> {self.outcome.destination or '?'}"
        if self.outcome.failure:
            return f"{way} failed: {self.outcome.failure}"
        if self.figures is None:
            return f"{way} {self.outcome.seconds:.2f} s; nothing answered the probes"
        private = (
            f" (private address: {self.private.network_downtime:.0f} ms)" if self.private is not None else ""
        )
        late = (
            ""
            if self.figures.trustworthy
            else f"; not counted: the prober was {self.figures.lateness:.0f} ms late"
        )
        return (
            f"{way} {self.outcome.seconds:.2f} s, network downtime {self.figures.network_downtime:.0f} ms"
            f"{private}, {self.figures.lost} of {self.figures.sent} lost{late}"
        )


@dataclass(frozen=True)
class Measurement:
    """How closely a migration is looked at. ``folder`` gets its traces, and captures where they are wanted.

    From ``namespace`` the private address is probed, too.
    """

    site: Site
    interval: float = 0.01
    folder: Path | None = None
    captures: bool = False
    namespace: Path | None = None


def observe(
    look: Measurement, server: Server, key: str, host: str, *, mode: Mode | None = None, limit: float = 900
) -> Round:
    """Move ``server`` to ``host`` once, and see what happens. ``key`` names its files; ``mode`` None is as nova is set.

    Raises PreflightError (no raw sockets, no floating address), SkerryError (a host does not answer).
    """
    address, most = server.address, limit + 120
    begun_at = datetime.now(UTC)
    with ExitStack() as stack:
        if look.captures and look.folder is not None:
            stack.enter_context(Captures(look.site, look.folder, key, server.addresses, most))
        sampler = stack.enter_context(Sampler(look.site, server.host, server.domain, most))
        probe = stack.enter_context(EchoProbe(address, look.interval))
        beside: EchoProbe | None = None
        if look.namespace is not None:
            beside = stack.enter_context(EchoProbe(server.private, look.interval, look.namespace))
        _until_they_answer(probe, beside)
        time.sleep(AROUND)
        clocks = time.time() - time.monotonic()

        def switch() -> bool:
            """Post-copy begins after one round through the memory: before, nearly every page would be missed."""
            return mode == "post-copy" and (sampler.rounds > 1 or sampler.copying > LATEST_SWITCH)

        outcome = server.move(host, switch=switch, limit=limit)
        time.sleep(AROUND)
        _until_they_answer(probe, beside)
    samples = [{**one, "at": one["at"] - clocks} for one in sampler.found]
    done = Round(
        outcome,
        _figures(probe.trace, outcome),
        _figures(probe.udp, outcome),
        _figures(beside.trace, outcome) if beside else None,
        {} if outcome.failure else counters(look.site, server, samples),
        begun_at.isoformat(timespec="seconds"),
    )
    if look.folder is not None:
        _keep(look.folder / f"{key}.json", probe, beside, outcome, samples)
    return done


def _until_they_answer(*probes: EchoProbe | None) -> None:
    """A busy cloud may take a while to find the ways to a server; that it does not at all shows in the figures.

    Raises ProbeError when one of them does not probe any more.
    """
    for probe in filter(None, probes):
        clock = Clock()
        while not probe.trace.answers(within=0.5) and clock.now() < FOUND:
            probe.check()
            time.sleep(0.1)


def counters(site: Site, server: Server, samples: list[dict[str, float]]) -> dict[str, float]:
    """QEMU's own figures of a migration that is over, with the highest throttle that was seen on the way.

    After post-copy it keeps none: then they are those of the last sample.
    """
    argv = [*site.virsh, "domjobinfo", "--completed", server.domain]
    found = job_figures(site.run(server.host, argv, check=False).stdout)
    if not found and samples:
        found = {name: value for name, value in samples[-1].items() if name != "at"}
    throttles = [one["throttle"] for one in samples if "throttle" in one]
    return found | ({"throttle": max(throttles)} if throttles else {})


def _figures(trace: Trace, outcome: Outcome) -> Figures | None:
    try:
        return figures(trace, outcome.started, outcome.ended)
    except ValueError:
        return None


def _keep(
    path: Path, probe: EchoProbe, beside: EchoProbe | None, outcome: Outcome, samples: list[dict[str, float]]
) -> None:
    """Write what the plots need: times in seconds since the request for the migration."""

    def relative(trace: Trace) -> list[tuple[float, float | None]]:
        return [
            (round(sent - outcome.started, 5), None if back is None else round(back - outcome.started, 5))
            for sent, back in zip(trace.sent, trace.received, strict=True)
        ]

    moved = [{**one, "at": round(one["at"] - outcome.started, 3)} for one in samples]
    kept = {
        "seconds": outcome.seconds,
        "icmp": relative(probe.trace),
        "udp": relative(probe.udp),
        "private": relative(beside.trace) if beside else [],
        "qemu": moved,
    }
    path.write_text(json.dumps(kept) + "\n")


def _flat(found: Figures) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in found.to_dict().items():
        inner = value if isinstance(value, dict) else {"": value}
        flat |= {f"{name}_{key}".rstrip("_"): _rounded(part) for key, part in inner.items()}
    return flat


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
