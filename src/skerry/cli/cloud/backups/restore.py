"""'skerry restore'."""

from __future__ import annotations

import argparse
from pathlib import Path

from skerry.cli.progress import Progress
from skerry.cloud.operations.backups.restore import restore
from skerry.common import log


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="what 'skerry backup' has made")
    parser.add_argument("--key", type=Path, help="its key (default: backup.key beside it)")
    parser.add_argument("--json", action="store_true", help="print what was restored as JSON")


def run(args: argparse.Namespace) -> int:
    log.make_folder()
    with Progress(quiet=args.json) as progress:
        done = restore(args.root, args.file, args.key, progress.console.print, progress.watch, progress.begin)
    print(done.to_json() if args.json else done.render())
    return 0
