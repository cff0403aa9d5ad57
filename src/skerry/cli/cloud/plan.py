"""'skerry plan'."""

from __future__ import annotations

import argparse

from skerry.cloud.operations.plan import plan


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def run(args: argparse.Namespace) -> int:
    result = plan(args.root)
    print(result.to_json() if args.json else result.render())
    return 0
