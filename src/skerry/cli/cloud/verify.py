"""'skerry verify'."""

from __future__ import annotations

import argparse
import sys

from skerry.cli.values import whole
from skerry.cloud.operations.verify.clients import SUITES, verify_clients
from skerry.cloud.operations.verify.results import demand
from skerry.cloud.operations.verify.tempest import verify


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--clients",
        nargs="*",
        choices=SUITES,
        metavar="SUITE",
        help=f"run clients that people use, instead of tempest: all of {', '.join(SUITES)}, or those that are named",
    )
    parser.add_argument(
        "--regex",
        help="run the tests of tempest or openstacksdk whose names match, instead of their usual ones",
    )
    parser.add_argument(
        "--workers", type=whole(1, 64), default=2, help="how many of tempest's tests at once (default: 2)"
    )
    parser.add_argument(
        "--servers", type=whole(1, 40), default=20, help="how many servers the load has (default: 20)"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    def show(text: str) -> None:
        print(text, file=sys.stderr)

    if args.clients is None:
        results = verify(args.root, show, regex=args.regex, workers=args.workers)
        print(results.to_json() if args.json else results.render())
        demand([results])
        return 0
    report = verify_clients(
        args.root,
        show,
        suites=args.clients,
        regex=args.regex,
        servers=args.servers,
    )
    print(report.to_json() if args.json else report.render())
    demand(report.suites)
    return 0
