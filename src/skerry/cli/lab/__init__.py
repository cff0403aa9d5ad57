"""'skerry lab': labs of hosts and switches on this machine."""

from __future__ import annotations

import argparse

NEEDS_ROOT = "A lab consists of namespaces, and making or entering them needs root."


def choice(parser: argparse.ArgumentParser) -> None:
    """The option of the verbs that work on one lab."""
    parser.add_argument("--lab", metavar="NAME", help="which lab (default: the only one)")
