"""'skerry cloudlet sessions'."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from skerry.cli.cloudlet.common import json_argument, opened, show
from skerry.cloudlet.session.session import listed

INTERNAL = ("owner", "created")  # fields that are no matter for users


def arguments(parser: argparse.ArgumentParser) -> None:
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    rows = [asdict(session) for session in listed(opened(args))]
    return show([{key: row[key] for key in row if key not in INTERNAL} for row in rows], args)
