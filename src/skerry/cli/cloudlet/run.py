"""'skerry cloudlet run'."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from skerry.cli.cloudlet.common import opened, text_of
from skerry.cloudlet.session.session import find


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", help="a session")
    parser.add_argument("script", metavar="FILE", help="the script, or - for the standard input")


def run(args: argparse.Namespace) -> int:
    _, vm = find(opened(args), args.session)
    script = sys.stdin.read() if args.script == "-" else text_of(args.script)
    with closing(vm.agent()) as agent:
        print(agent.run(script), end="")
    return 0
