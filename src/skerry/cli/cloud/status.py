"""'skerry status'."""

from __future__ import annotations

import argparse

from skerry.cloud.operations.status import status


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the status as JSON")


def run(args: argparse.Namespace) -> int:
    result = status(args.root)
    print(result.to_json() if args.json else result.render())
    return 0 if result.ready else 8
