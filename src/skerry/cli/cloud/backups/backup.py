"""'skerry backup'."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from skerry.cloud.operations.backups.backup import backup
from skerry.common import log


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="where to; a file that is there is replaced")
    parser.add_argument("--images", action="store_true", help="with the images, too")
    parser.add_argument(
        "--recipient", metavar="AGE1...", help="encrypt for this key of age in place of the cloud's own"
    )
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")


def run(args: argparse.Namespace) -> int:
    log.make_folder()
    done = backup(
        args.root,
        args.file,
        lambda text: print(f"  {text}", file=sys.stderr),
        images=args.images,
        recipient=args.recipient,
    )
    print(done.to_json() if args.json else done.render())
    return 0
