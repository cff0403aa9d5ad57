"""'skerry logs'."""

from __future__ import annotations

import argparse

from skerry.cli.values import whole
from skerry.cloud.context import Context
from skerry.cloud.operations.logs import log_of
from skerry.common import proc


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", metavar="SERVICE", help="a service's name, as 'skerry status' shows it")
    parser.add_argument("-f", "--follow", action="store_true", help="continue to show new lines")
    parser.add_argument(
        "-n", "--lines", type=whole(0, 10**9), default=100, help="how many lines (default: 100)"
    )


def run(args: argparse.Namespace) -> int:
    path = log_of(Context.existing(args.root), args.service)
    follow = ["-F"] if args.follow else []
    proc.become(["tail", "-n", str(args.lines), *follow, str(path)])
