"""show what a service says"""

from __future__ import annotations

import argparse
import os

from skerry.cloud.context import Context
from skerry.common.errors import NotFoundError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", metavar="SERVICE", help="a service's name, as 'skerry status' shows it")
    parser.add_argument("-f", "--follow", action="store_true", help="go on showing new lines")
    parser.add_argument("-n", "--lines", type=int, default=100, help="how many lines (default: 100)")


def run(args: argparse.Namespace) -> int:
    ctx = Context.at(args.root)
    path = ctx.supervisor.log_path(args.service)
    if not path.exists():
        have = (
            ", ".join(sorted(path.stem for path in ctx.layout.log.glob("*.log")))
            or "none yet: run 'skerry up'"
        )
        raise NotFoundError(
            f"There is no log of a service '{args.service}'.", remedy=f"Services with a log: {have}"
        )
    follow = ["-F"] if args.follow else []
    os.execvp("tail", ["tail", "-n", str(args.lines), *follow, str(path)])
