"""'skerry cloudlet trust'."""

from __future__ import annotations

import argparse

from skerry.cli.cloudlet.common import json_argument, opened, show, text_of


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "key", metavar="KEYFILE", help="a file with 64 hexadecimal digits; none: print one's own", nargs="?"
    )
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    keys = opened(args).keys
    if not args.key:
        return show({"own": keys.public().hex()}, args)
    return show({"trusted": keys.trust(text_of(args.key))}, args)
