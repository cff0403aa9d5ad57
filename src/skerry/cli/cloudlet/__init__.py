"""'skerry cloudlet': bases, overlays, sessions, handoff, discovery."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store", type=Path, metavar="FOLDER", help="where bases, overlays and sessions are kept"
    )
