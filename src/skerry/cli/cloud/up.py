"""'skerry up'."""

from __future__ import annotations

import argparse

from skerry.cli.progress import Progress
from skerry.cloud.components import registry
from skerry.cloud.operations.up import up
from skerry.common import interrupt


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--with",
        dest="features",
        action="append",
        default=[],
        choices=registry.features(),
        help="a further component, from now on",
    )
    parser.add_argument(
        "--no-packages", action="store_true", help="install nothing: everything must be there (boot)"
    )
    parser.add_argument("--no-first-server", action="store_true", help="make no first server")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    with Progress(quiet=args.json) as progress, interrupt.answered(progress.tell):
        summary = up(
            args.root,
            progress.watch,
            features=args.features,
            install=not args.no_packages,
            first_server=False if args.no_first_server else None,
            begin=progress.begin,
        )
    print(summary.to_json() if args.json else summary.render())
    return 0
