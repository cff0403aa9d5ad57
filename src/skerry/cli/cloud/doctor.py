"""'skerry doctor'."""

from __future__ import annotations

import argparse

from skerry.cloud.doctor import examine
from skerry.common import interrupt


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fix", action="store_true", help="do what is safe to do (restart what is dead, and the like)"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    with interrupt.answered():
        report = examine(args.root, fix=args.fix)
    print(report.to_json() if args.json else report.render())
    return 0 if report.healthy else 9
