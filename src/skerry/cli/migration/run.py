"""'skerry migration run'."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.hosts.migration_site import Hosts
from skerry.common.errors import StepError, UsageError
from skerry.migration.evaluation.results import Results, write_csv
from skerry.migration.plan import MODES, EvaluationPlan, load, narrowed

ALONE = ("csv", "json")  # options of a run of one server
TOGETHER = ("plan", "flavors", "dirty", "rates", "modes", "quick", "seed")  # those of an evaluation
DESCRIPTION = (
    "With SERVER, moves it back and forth. Without, boots servers of its own flavors, loads them, moves them in all ways"
    " that the plan names, in random order, and writes a report. An evaluation that was interrupted continues with the"
    " same --out."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument(
        "server", metavar="SERVER", nargs="?", help="a running server with a floating address"
    )
    parser.add_argument(
        "--times", type=int, metavar="N", help="migrations of each kind (default: 10, or the plan's)"
    )
    parser.add_argument(
        "--interval", type=float, default=10.0, metavar="MS", help="between probes (default: 10 ms)"
    )
    parser.add_argument(
        "--hosts", type=names, metavar="A,B", help="between which hosts (default: all that are up)"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where raw data, captures and report go")
    parser.add_argument("--no-captures", action="store_true", help="do not capture frames with tcpdump")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="of SERVER: write the raw figures")
    parser.add_argument("--json", action="store_true", help="of SERVER: print all figures as JSON")
    parser.add_argument(
        "--plan", type=Path, metavar="FILE", help="a plan (TOML) in place of the built-in one"
    )
    parser.add_argument("--flavors", type=names, metavar="A,B", help="only these, in every combination with:")
    parser.add_argument(
        "--dirty", type=numbers, metavar="N,N", help="MiB/s that the guest writes (default: 0)"
    )
    parser.add_argument(
        "--rates", type=numbers, metavar="N,N", help="MiB/s for a migration, 0: no limit (default: 0)"
    )
    parser.add_argument(
        "--modes", type=names, metavar="A,B", help=f"of {', '.join(MODES)} (default: pre-copy)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two flavors, two loads, twice each: some minutes"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of the random order (default: drawn, and printed)"
    )


def names(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def run(args: argparse.Namespace) -> int:
    check(args)
    # What is wrong with the plan is reported before anything else is asked.
    plan = None if args.server else plan_of(args)
    ctx = Context.existing(args.root)
    site = Hosts(ctx)
    site.demand_safe()
    ctx.api.compute.default_microversion = "2.90"
    return one(args, ctx, site) if plan is None else many(args, ctx, site, plan)


def check(args: argparse.Namespace) -> None:
    """Raise UsageError for options that do not go together."""
    others = TOGETHER if args.server else ALONE
    wrong = [name for name in others if getattr(args, name) not in (None, False)]
    if wrong:
        what = "with SERVER" if args.server else "without SERVER"
        raise UsageError(f"--{wrong[0]} has no meaning {what}.", remedy="See 'skerry migration run --help'.")
    if args.interval < 1 or (args.times is not None and args.times < 1):
        raise UsageError("--interval is at least 1 ms and --times at least 1.")


def plan_of(args: argparse.Namespace) -> EvaluationPlan:
    """The plan that the options ask for. Raises ConfigError."""
    wanted = {
        name: getattr(args, name) for name in ("flavors", "dirty", "rates", "modes") if getattr(args, name)
    }
    if args.quick:
        wanted = {"flavors": ["nano", "tiny"], "dirty": [0, 10], "times": 2} | wanted
    return narrowed(load(args.plan), wanted, args.times, source="the options of 'migration run'")


def report(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# What draws and measures takes long to import, and is an extra of the distribution: each only where it is used.


def many(args: argparse.Namespace, ctx: Context, site: Hosts, plan: EvaluationPlan) -> int:
    from skerry.migration.evaluation.experiment import Experiment, new_folder
    from skerry.migration.evaluation.report import write

    results = Results(args.out or new_folder())
    experiment = Experiment(
        ctx.api,
        site,
        plan,
        results,
        report,
        seed=args.seed,
        hosts=args.hosts,
        captures=not args.no_captures,
        interval=args.interval / 1000,
    )
    report(
        f"raw data go to {results.folder}; after Ctrl-C the same command with --out {results.folder} continues"
    )
    try:
        experiment.run()
    finally:
        results.tables()
    print(write(results))
    return 0


def one(args: argparse.Namespace, ctx: Context, site: Hosts) -> int:
    from skerry.migration.single import rounds, summary

    made = list(
        rounds(
            ctx.api,
            site,
            args.server,
            args.times or 10,
            report,
            interval=args.interval / 1000,
            hosts=args.hosts,
            folder=args.out,
            captures=args.out is not None and not args.no_captures,
        )
    )
    if args.csv:
        write_csv(args.csv, [done.row() for done in made])
    print(json.dumps([done.row() for done in made], indent=1) if args.json else summary(made))
    failed = made[-1].outcome.failure if made else None
    if failed:
        remedy = (
            "The server is where it was. 'skerry doctor', and nova-compute's log on its host, give the cause."
        )
        raise StepError("migration", failed, remedy=remedy)
    return 0
