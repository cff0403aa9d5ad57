"""'skerry cloudlet discover'."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from skerry.cli.cloudlet.common import json_argument, opened, report, show
from skerry.cloudlet.discovery import search
from skerry.cloudlet.discovery.discovery import Found, wanted
from skerry.cloudlet.discovery.mdns import Heard
from skerry.cloudlet.peer.identity import Identity
from skerry.common.errors import UsageError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "wanted",
        nargs="?",
        default="",
        metavar="SESSION|OVERLAY|BASE",
        help="what is to run there; none: anything",
    )
    parser.add_argument(
        "--directory",
        metavar="HOST[:PORT]",
        help="ask this directory, which this engine is paired with; without it: look in the LAN",
    )
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="how long to listen in the LAN (default: 2)"
    )
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    store = opened(args)
    identity = Identity(store.root / "keys")
    want = wanted(store, args.wanted)
    if args.directory:
        seen = search.in_directory(identity, want, args.directory)
    elif 0 <= args.seconds <= 600:
        seen = search.in_the_lan(identity, want, args.seconds, report)
    else:
        raise UsageError("--seconds is a number from 0 to 600.")
    paired = set(identity.peers())
    rows = [_row(one, one.cloudlet.engine in paired, args.json) for one in seen.found]
    return show(rows + [_strangers_row(each, rtt, args.json) for each, rtt in seen.strangers], args)


def _row(one: Found, paired: bool, as_json: bool) -> dict[str, Any]:
    if as_json:
        return {**asdict(one), "cloudlet": one.cloudlet.model_dump(), "paired": paired}
    return {
        "name": one.cloudlet.name,
        "where": one.cloudlet.where,
        "rtt_ms": _milliseconds(one.rtt),
        "holds": one.held or "-",
        "cpus": one.cloudlet.cpus,
        "load": one.cloudlet.load,
        "memory_mib": one.cloudlet.memory_mib,
        "paired": "yes" if paired else "no",
    }


def _strangers_row(heard: Heard, rtt: float | None, as_json: bool) -> dict[str, Any]:
    """Of one that has proven nothing: where it claims to be, as whom, and no more."""
    if as_json:
        told = {"engine": heard.engine, "where": heard.addresses[0]}
        return {"cloudlet": told, "rtt": rtt, "held": "", "seconds": None, "paired": False}
    unknown = dict.fromkeys(("holds", "cpus", "load", "memory_mib"), "-")
    name, where = f"{heard.engine[:16]}?", heard.addresses[0]
    return {"name": name, "where": where, "rtt_ms": _milliseconds(rtt), **unknown, "paired": "no"}


def _milliseconds(rtt: float | None) -> str | float:
    return "no answer" if rtt is None else round(rtt * 1000, 1)
