"""'skerry secrets'."""

from __future__ import annotations

import argparse
import json

from skerry.cli.progress import Progress
from skerry.cloud.context import Context
from skerry.cloud.operations.rotate import rotatable, rotate
from skerry.common import interrupt
from skerry.common.errors import NotFoundError, UsageError
from skerry.common.privilege import require_root


def arguments(parser: argparse.ArgumentParser) -> None:
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)
    show = parts.add_parser("show", help="print one secret")
    show.add_argument("name", metavar="NAME", help="its name, as 'secrets list' shows it")
    listed = parts.add_parser("list", help="the names, never the values")
    new = parts.add_parser("rotate", help="draw new values and bring them to everything that uses them")
    new.add_argument(
        "names", metavar="NAME", nargs="*", help="what to rotate; without any: continue what broke"
    )
    new.add_argument("--all", action="store_true", help="rotate everything")
    for part in (show, listed, new):
        part.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    require_root("Only root may have the secrets.")
    if args.part == "rotate":
        return _rotate(args)
    secrets = Context.existing(args.root).secrets
    if not secrets.path.exists():
        raise NotFoundError(
            "The cloud has no secrets yet: 'up' was interrupted before.", remedy="Run 'skerry up'."
        )
    if args.part == "show":
        value = secrets[args.name]
        print(json.dumps({"name": args.name, "value": value}) if args.json else value)
    else:
        rows = [{"name": name, "rotating": name in secrets.previous} for name in rotatable()]
        marks = (f"{row['name']}{'  (a rotation is under way)' if row['rotating'] else ''}" for row in rows)
        print(json.dumps(rows, indent=2) if args.json else "\n".join(marks))
    return 0


def _rotate(args: argparse.Namespace) -> int:
    if args.all and args.names:
        raise UsageError("Either names or --all, not both.")
    names = rotatable() if args.all else args.names
    with Progress(quiet=args.json) as progress, interrupt.answered(progress.tell):
        done = rotate(
            args.root,
            names,
            progress.tell if not args.json else lambda text: None,
            progress.watch,
            progress.begin,
        )
    print(done.to_json() if args.json else done.render())
    return 0
