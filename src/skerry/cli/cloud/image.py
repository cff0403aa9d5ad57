"""'skerry image'."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.operations.images import build, listed, render, upload
from skerry.common import interrupt, log


def arguments(parser: argparse.ArgumentParser) -> None:
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)
    make = parts.add_parser("build", help="build an image (root; 'debian' takes minutes)")
    make.add_argument("name", choices=["tiny", "debian"], help="tiny: busybox and SSH; debian: a whole one")
    make.add_argument("--output", type=Path, metavar="FOLDER", help="where to (default: the cloud's cache)")
    make.add_argument(
        "--upload", action="store_true", help="upload it to the cloud, in place of an older one"
    )
    make.add_argument("--json", action="store_true", help="print the files, and the image's id, as JSON")
    known = parts.add_parser("list", help="images that were built here, and those in the cloud")
    known.add_argument("--json", action="store_true", help="print them as JSON")


def run(args: argparse.Namespace) -> int:
    ctx = Context.at(args.root)
    if args.part == "list":
        images = listed(ctx)
        print(json.dumps([image.__dict__ for image in images], indent=2) if args.json else render(images))
        return 0

    def report(text: str) -> None:
        print(f"  {text}", file=sys.stderr)

    log.make_folder()
    with interrupt.answered():
        built = build(ctx, args.name, args.output, report)
        image_id = upload(ctx, built, report) if args.upload else None
    if args.json:
        files = {part: str(path) for part, path in built.files.items()}
        print(
            json.dumps(
                {"name": built.name, "version": built.version, "files": files, "id": image_id}, indent=2
            )
        )
    else:
        print("\n".join(f"{part:8} {path}" for part, path in built.files.items()))
        if image_id:
            print(f"{'image':8} {image_id}")
    return 0
