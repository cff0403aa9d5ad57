"""'skerry verify'."""

from __future__ import annotations

import argparse
import sys

from skerry.cli.values import whole
from skerry.cloud.operations.verify import verify


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--regex", help="run the tests whose names match, instead of the smoke tests")
    parser.add_argument("--workers", type=whole(1, 64), default=2, help="how many tests at once (default: 2)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    report = verify(
        args.root, lambda text: print(text, file=sys.stderr), regex=args.regex, workers=args.workers
    )
    print(report.to_json() if args.json else report.render())
    report.demand()
    return 0
