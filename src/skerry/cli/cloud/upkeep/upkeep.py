"""'skerry upkeep'."""

from __future__ import annotations

import argparse
import sys
import time

from skerry.cloud.operations.upkeep.upkeep import upkeep

FAILED = 7


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "tasks", metavar="TASK", nargs="*", help="some of the tasks, by the names that the last run shows"
    )
    # What the daily service adds: the next run is scheduled, and a run that finds the cloud busy comes back later.
    parser.add_argument("--daily", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(args: argparse.Namespace) -> int:
    def report(text: str) -> None:
        if not args.json and not args.daily:
            print(f"  {text}", file=sys.stderr)

    done = upkeep(args.root, args.tasks, report, daily=args.daily)
    if args.daily:
        print(time.strftime("%Y-%m-%d %H:%M:%S"))
    print(done.to_json() if args.json else done.render())
    return FAILED if done.wrong else 0
