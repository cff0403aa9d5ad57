"""'skerry cloudlet stop'."""

from __future__ import annotations

import argparse

from skerry.cli.cloudlet.common import opened
from skerry.cloudlet.session.session import stop


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", help="a session")


def run(args: argparse.Namespace) -> int:
    stop(opened(args), args.session)
    return 0
