"""'skerry lab status'."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from skerry.cli.lab import NEEDS_ROOT
from skerry.common.privilege import require_root
from skerry.lab.state import labs
from skerry.lab.status import render, status


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="which lab (default: all)")
    parser.add_argument("--json", action="store_true", help="print the status as JSON")


def run(args: argparse.Namespace) -> int:
    require_root(NEEDS_ROOT)
    names = [args.name] if args.name else labs(Path(args.root))
    found = [status(name, args.root) for name in names]
    print(json.dumps(found, indent=2) if args.json else render(found))
    return 0
