"""'skerry restart'."""

from __future__ import annotations

import argparse

from skerry.cli.progress import Progress
from skerry.cloud.operations.restart import restart


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "services", metavar="SERVICE", nargs="+", help="services' names, as 'skerry status' shows them"
    )
    parser.add_argument("--json", action="store_true", help="print what was restarted as JSON")


def run(args: argparse.Namespace) -> int:
    with Progress(quiet=args.json) as progress:
        done = restart(args.root, args.services, progress.tell if not args.json else lambda text: None)
    print(done.to_json() if args.json else done.render())
    return 0
