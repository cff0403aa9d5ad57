"""'skerry cloudlet synthesize'."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from typing import Any

from skerry.cli.cloudlet.common import json_argument, network_arguments, opened, report, show
from skerry.cli.values import whole
from skerry.cloudlet.session.background import in_background
from skerry.cloudlet.session.session import GuestNetwork, free_name
from skerry.cloudlet.session.synthesis import SynthesisedVm, source_of, synthesize


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="URL|FILE|NAME", help="an http or https address, a file, an overlay here"
    )
    parser.add_argument("--name", help="of the session (default: a new one)")
    parser.add_argument(
        "--early", action="store_true", help="run at once, and fetch pages when they are touched"
    )
    network_arguments(parser)
    parser.add_argument(
        "--most-mb", type=whole(1, 1 << 30), default=65536, metavar="MB", help="refuse a larger overlay"
    )
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    store = opened(args)
    name = args.name or free_name()

    def work() -> tuple[SynthesisedVm, dict[str, Any]]:
        begun = time.monotonic()
        running = synthesize(
            store,
            source_of(args.source, store),
            name,
            GuestNetwork(tuple(args.port), args.outbound),
            early=args.early,
            prepare=not args.no_agent,
            most=args.most_mb << 20,
            report=report,
        )
        return running, {**asdict(running.session), "seconds": round(time.monotonic() - begun, 3)}

    return show(in_background(work) if args.early else work()[1], args)
