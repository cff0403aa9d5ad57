"""'skerry lab up'."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from skerry.cli.lab import NEEDS_ROOT
from skerry.common import log
from skerry.common.privilege import require_root
from skerry.lab.lab import Lab
from skerry.lab.model import load


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the lab file (see docs/how-to/lab.md)")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(args: argparse.Namespace) -> int:
    require_root(NEEDS_ROOT)
    log.make_folder()
    lab = Lab(load(args.file), args.root)
    done = lab.up()
    if args.json:
        print(json.dumps({"lab": lab.name, "done": done}, indent=2))
    else:
        print(f"The lab '{lab.name}' is up: {len(done)} things done." if done else "Nothing to do.")
    return 0
