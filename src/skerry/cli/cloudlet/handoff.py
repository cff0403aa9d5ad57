"""'skerry cloudlet handoff'."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from skerry.cli.cloudlet.common import json_argument, opened, report, show
from skerry.cloudlet.handoff.source import handoff


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", help="a session")
    parser.add_argument(
        "destination",
        metavar="HOST[:PORT]",
        help="where 'serve' runs, of an engine that this one is paired with",
    )
    parser.add_argument("--rename", default="", metavar="NAME", help="what the session is called there")
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    done = handoff(opened(args), args.session, args.destination, rename=args.rename, report=report)
    return show(asdict(done), args)
