"""'skerry openstack'."""

from __future__ import annotations

import argparse

from skerry.cloud.context import Context
from skerry.cloud.operations.client import client
from skerry.common import proc
from skerry.common.errors import UsageError

AS = "--as"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "skerry openstack [--as NAME] ARGUMENT..."


def run(args: argparse.Namespace) -> int:
    name, words = split(args.passed)
    program, environment = client(Context.existing(args.root), name)
    proc.become([program, *words], env=environment)


def split(words: list[str]) -> tuple[str | None, list[str]]:
    """The person that the client is run as, if one is named first, and the client's own words. Raises UsageError."""
    first = words[0] if words else ""
    if first.startswith(f"{AS}="):
        return first.partition("=")[2], words[1:]
    if first != AS:
        return None, words
    if len(words) < 2:
        raise UsageError("--as needs the name of a person.", remedy="skerry openstack --as NAME ARGUMENT...")
    return words[1], words[2:]
