"""'skerry cloudlet resume'."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from skerry.cli.cloudlet.common import json_argument, network_arguments, opened, show
from skerry.cloudlet.session.session import GuestNetwork, free_name, run_base


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", help="a base, by name or id")
    parser.add_argument("--name", help="of the session (default: a new one)")
    network_arguments(parser)
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    store = opened(args)
    network = GuestNetwork(tuple(args.port), args.outbound)
    base, name = store.base(args.base), args.name or free_name()
    session, _ = run_base(store, base, name, network, prepare=not args.no_agent)
    return show(asdict(session), args)
