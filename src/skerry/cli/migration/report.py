"""'skerry migration report'."""

from __future__ import annotations

import argparse
from pathlib import Path

from skerry.migration.evaluation.report import write
from skerry.migration.evaluation.results import Results


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the --out of an evaluation")


def run(args: argparse.Namespace) -> int:
    print(write(Results(args.folder)))
    return 0
