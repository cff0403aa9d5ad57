"""'skerry lab exec'."""

from __future__ import annotations

import argparse

from skerry.cli.lab import NEEDS_ROOT, choice
from skerry.common import proc
from skerry.common.errors import UsageError
from skerry.common.privilege import require_root
from skerry.lab.lab import Lab


def arguments(parser: argparse.ArgumentParser) -> None:
    choice(parser)
    parser.add_argument("host", metavar="HOST", help="a host of the lab")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="after two dashes (--): what to run"
    )


def run(args: argparse.Namespace) -> int:
    require_root(NEEDS_ROOT)
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise UsageError("There is no command to run.", remedy="skerry lab exec HOST -- COMMAND")
    proc.become(Lab.open(args.lab, args.root).host(args.host).enter(command))
