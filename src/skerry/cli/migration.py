"""move a running server between hosts and measure what its users see of it"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.join import Joined
from skerry.cloud.roles.libvirt import Libvirt
from skerry.common.errors import PreflightError, StepError
from skerry.migration.measure import Round, rounds
from skerry.migration.nova import Server


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    run = verbs.add_parser("run", help="move a server back and forth, and measure each migration")
    run.add_argument("server", metavar="SERVER", help="a running server with a floating address")
    run.add_argument("--times", type=int, default=10, help="how many migrations (default: 10)")
    run.add_argument(
        "--interval", type=float, default=10.0, metavar="MS", help="between probes (default: 10 ms)"
    )
    run.add_argument("--csv", type=Path, metavar="FILE", help="write the raw figures of each migration")
    run.add_argument("--json", action="store_true", help="print all figures as JSON")


def run(args: argparse.Namespace) -> int:
    ctx = Context.at(args.root)
    if len(ctx.cloud.computes) < 2:
        raise PreflightError(
            "There is no second host to move a server to.",
            remedy="Add one: docs/how-to/hosts.md.",
        )
    hosts = {host.name: Joined(ctx, host) for host in ctx.cloud.others}

    def look(host: str, domain: str) -> str:
        argv = ["virsh", "--connect", Libvirt(ctx).uri, "domjobinfo", "--completed", domain]
        there = hosts[host].there if host in hosts else ctx.transport
        return there.run(argv, check=False, timeout=30).stdout

    ctx.api.compute.default_microversion = "2.90"
    server = Server(ctx.api, args.server, look)
    made = list(
        rounds(
            server,
            server.address,
            args.times,
            lambda text: print(text, file=sys.stderr),
            args.interval / 1000,
        )
    )
    if args.csv:
        write_csv(args.csv, made)
    print(json.dumps([one.row() for one in made], indent=1) if args.json else summary(made))
    failed = made[-1].outcome.failure if made else None
    if failed:
        remedy = "The server is where it was. 'skerry doctor', and nova-compute's log on its host, say why."
        raise StepError("migration", failed, remedy=remedy)
    return 0


def write_csv(path: Path, made: list[Round]) -> None:
    rows = [one.row() for one in made]
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)


def summary(made: list[Round]) -> str:
    """Medians over the migrations that count, and how many do not."""
    good = [one for one in made if one.figures and one.figures.trustworthy and not one.outcome.failure]
    if not good:
        return "No migration to tell of."
    figures = [one.figures for one in good if one.figures]
    lines = [
        f"{len(good)} migrations; {len(made) - len(good)} not counted (failed, or the prober was late).",
        f"  total time         {statistics.median(one.outcome.seconds for one in good):8.2f} s    median",
        f"  network downtime   {statistics.median(f.network_downtime for f in figures):8.0f} ms   median"
        f", worst {max(f.network_downtime for f in figures):.0f} ms",
        f"  lost probes        {statistics.median(f.lost for f in figures):8.1f}      median",
        f"  by loss and delay  {statistics.median(f.by_loss for f in figures):8.1f} ms   (a wrong method, for comparison)",
    ]
    qemu = [one.counters["downtime"] for one in good if "downtime" in one.counters]
    if qemu:
        lines.insert(3, f"  QEMU's downtime    {statistics.median(qemu):8.0f} ms   median")
    return "\n".join(lines)
