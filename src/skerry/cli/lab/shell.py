"""'skerry lab shell'."""

from __future__ import annotations

import argparse
import os

from skerry.cli.lab import NEEDS_ROOT, choice
from skerry.common import proc
from skerry.common.privilege import require_root
from skerry.lab.lab import Lab


def arguments(parser: argparse.ArgumentParser) -> None:
    choice(parser)
    parser.add_argument("host", metavar="HOST", help="a host of the lab")


def run(args: argparse.Namespace) -> int:
    require_root(NEEDS_ROOT)
    host = Lab.open(args.lab, args.root).host(args.host)
    proc.become(host.enter([os.environ.get("SHELL", "/bin/sh")]), env={"PS1": f"{host.name}# "})
