"""'skerry lab down'."""

from __future__ import annotations

import argparse
from pathlib import Path

from skerry.cli.lab import NEEDS_ROOT
from skerry.common.privilege import require_root
from skerry.lab.lab import only, take_down
from skerry.lab.state import Places


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="which lab (default: the only one)")
    parser.add_argument("--keep", action="store_true", help="keep what the hosts have in /etc and /var")


def run(args: argparse.Namespace) -> int:
    require_root(NEEDS_ROOT)
    name = args.name or only(args.root)
    take_down(Places(name, Path(args.root).resolve()), keep=args.keep)
    print(f"The lab '{name}' is gone{', its folder is kept' if args.keep else ''}.")
    return 0
