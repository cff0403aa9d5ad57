"""'skerry down'."""

from __future__ import annotations

import argparse

from skerry.cli.progress import Progress
from skerry.cloud.operations.down import down


def arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    with Progress() as progress:
        down(args.root, progress.tell)
    return 0
