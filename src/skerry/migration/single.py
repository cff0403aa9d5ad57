"""One server, moved back and forth as the cloud is configured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from skerry.migration.capacity import demand_room
from skerry.migration.measurement import capture
from skerry.migration.measurement.observation import Measurement, Round, observe
from skerry.migration.measurement.vantage import Vantage
from skerry.migration.nova import Server, hosts_up
from skerry.migration.site import Site


def rounds(
    api: Any,
    site: Site,
    name: str,
    times: int,
    report: Callable[[str], None],
    *,
    interval: float = 0.01,
    hosts: Sequence[str] | None = None,
    folder: Path | None = None,
    captures: bool = False,
) -> Iterator[Round]:
    """Move the server ``name`` ``times`` times, probing it each ``interval`` seconds.

    Ends after the first migration that fails: its server is where it was. Raises NotFoundError and PreflightError
    before anything moves: no such server or host, no room, no right to probe or to capture.
    """
    server = Server(api, name)
    usable = hosts_up(api, hosts)
    if captures:
        capture.demand(site)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    memory = int(server.now().flavor["ram"])
    with Vantage(api, site, server.network) as namespace:
        look = Measurement(site, interval, folder, captures, namespace)
        for number in range(1, times + 1):
            source = server.host
            demand_room(api, name, memory, source, usable)
            goal = next(host for host in usable if host != source)
            done = observe(look, server, f"{name}-{number}", goal)
            report(f"{number} of {times}: {done.told()}")
            yield done
            if done.outcome.failure:
                return


def summary(made: list[Round]) -> str:
    """Medians over the migrations that count, and how many do not."""
    good = [one for one in made if one.figures and one.figures.trustworthy and not one.outcome.failure]
    if not good:
        return "No migration was made."
    figures = [one.figures for one in good if one.figures]
    lines = [
        f"{len(good)} migrations; {len(made) - len(good)} not counted (failed, or the prober was late).",
        f"  total time         {statistics.median(one.outcome.seconds for one in good):8.2f} s    median",
        f"  network downtime   {statistics.median(f.network_downtime for f in figures):8.0f} ms   median"
        f", worst {max(f.network_downtime for f in figures):.0f} ms",
        f"  lost probes        {statistics.median(f.lost for f in figures):8.1f}      median",
        f"  by loss and delay  {statistics.median(f.by_loss.downtime for f in figures):8.1f} ms   (a wrong method)",
    ]
    private = [one.private.network_downtime for one in good if one.private]
    if private:
        lines.insert(
            3,
            f"  at its private address {statistics.median(private):4.0f} ms   median, worst {max(private):.0f} ms",
        )
    qemu = [one.counters["downtime"] for one in good if "downtime" in one.counters]
    if qemu:
        lines.insert(-2, f"  QEMU's downtime    {statistics.median(qemu):8.0f} ms   median")
    return "\n".join(lines)
