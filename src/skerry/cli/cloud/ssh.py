"""'skerry ssh'."""

from __future__ import annotations

import argparse

from skerry.cloud.context import Context
from skerry.cloud.resources.first_server import FirstServer, ssh_command
from skerry.common import proc
from skerry.common.errors import NotFoundError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "command",
        nargs="*",
        metavar="COMMAND",
        help="after two dashes (--): what to run there (default: a shell)",
    )


def run(args: argparse.Namespace) -> int:
    ctx = Context.existing(args.root)
    address = FirstServer(ctx).address()
    if address is None:
        raise NotFoundError("There is no first server with a floating address.", remedy="Run 'skerry up'.")
    proc.become([*ssh_command(ctx, address), *args.command])
