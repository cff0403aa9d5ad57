"""'skerry cloudlet overlay'."""

from __future__ import annotations

import argparse
from pathlib import Path

from skerry.cli.cloudlet.common import existing_file, json_argument, opened, report, show, text_of
from skerry.cli.values import whole
from skerry.cloudlet.overlay.reader import FileSource, Overlay
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.session import overlay_maker, residue
from skerry.cloudlet.session import session as sessions
from skerry.cloudlet.session.overlay_maker import Created
from skerry.cloudlet.session.session import GuestNetwork


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb_of", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="change a copy of a base, and keep the change")
    create.add_argument("below", metavar="BASE|OVERLAY", help="what to change, by name or id")
    create.add_argument("name", help="of the new overlay")
    create.add_argument(
        "--run",
        dest="script",
        type=Path,
        required=True,
        metavar="FILE",
        help="a shell script, run in the guest as root",
    )
    seen = "what the guest sees as /dev/vdb meanwhile, for instance a tar archive"
    create.add_argument("--files", type=existing_file, metavar="FILE", help=seen)
    first = "a shell script that uses the new server once: what it touches is fetched first"
    create.add_argument("--warm", type=Path, metavar="FILE", help=first)
    create.add_argument("--outbound", action="store_true", help="let the guest reach other hosts meanwhile")
    create.add_argument("--level", type=whole(1, 19), default=9, metavar="1-19", help="of compression")
    keep = verbs.add_parser("keep", help="keep what has changed in a session (its residue); it runs on")
    keep.add_argument("session", help="a session")
    keep.add_argument("name", help="of the new overlay")
    info = verbs.add_parser("info", help="show one overlay: of this store, or a file")
    info.add_argument("overlay", help="an overlay, by name or id, or a file")
    listed = verbs.add_parser("list", help="list the overlays that are here")
    remove = verbs.add_parser("remove", help="remove an overlay")
    bring = verbs.add_parser("import", help="read an overlay from a file; its base must be here")
    bring.add_argument("file", type=Path, help="what 'export' wrote")
    bring.add_argument(
        "--most-mb", type=whole(1, 1 << 30), default=65536, metavar="MB", help="refuse a larger overlay"
    )
    out = verbs.add_parser("export", help="write an overlay to a file, to be served or carried")
    for part in (remove, out):
        part.add_argument("overlay", help="an overlay, by name or id")
    out.add_argument("file", type=Path, help="to be written")
    for part in (create, keep, info, listed, bring):
        json_argument(part)


def run(args: argparse.Namespace) -> int:
    store = opened(args)
    match args.verb_of:
        case "list":
            return show([overlay.manifest.about() for overlay in store.overlays()], args)
        case "create":
            return show(_created(store, args).about(), args)
        case "keep":
            session, vm = sessions.find(store, args.session)
            return show(residue.keep(store, session, vm, args.name, report).about(), args)
        case "info":
            path = Path(args.overlay) if Path(args.overlay).is_file() else store.overlay_path(args.overlay)
            return show(Overlay(FileSource(path), None).manifest.about(), args)
        case "import":
            existing_file(args.file)
            made = overlay_maker.import_(store, args.file, most=args.most_mb << 20, report=report)
            return show(made.about(), args)
        case "export":
            overlay_maker.export(store, args.overlay, args.file)
        case "remove":
            store.remove(store.overlay_path(args.overlay))
    return 0


def _created(store: Store, args: argparse.Namespace) -> Created:
    return overlay_maker.create(
        store,
        args.below,
        args.name,
        text_of(args.script),
        files=args.files,
        warm=text_of(args.warm) if args.warm else "",
        network=GuestNetwork(outbound=True) if args.outbound else None,
        level=args.level,
        report=report,
    )
