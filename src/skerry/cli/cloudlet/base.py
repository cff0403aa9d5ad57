"""'skerry cloudlet base'."""

from __future__ import annotations

import argparse
from pathlib import Path

from skerry.cli.cloudlet.common import existing_file, json_argument, opened, report, show
from skerry.cli.values import memory_mib, whole
from skerry.cloudlet.overlay import elijah, portable
from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.machine import Machine
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.session.session import remove_base
from skerry.cloudlet.vm import create
from skerry.common.errors import UsageError


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb_of", metavar="VERB", required=True)
    new = verbs.add_parser("create", help="boot an image, and keep it at the moment when it is ready")
    new.add_argument("name", help="of the new base")
    new.add_argument(
        "--image",
        type=existing_file,
        metavar="FILE",
        help="raw or qcow2; without it a small Debian is built (root)",
    )
    sign = "what the image writes to its first serial port when it is ready (default: login:)"
    new.add_argument("--ready", metavar="TEXT", default="login:", help=sign)
    new.add_argument("--timeout", type=float, default=300, metavar="SECONDS", help="how long that may take")
    new.add_argument("--memory", type=memory_mib, default=1024, metavar="MIB", help="the guest's memory")
    new.add_argument("--cpus", type=whole(1, 64), default=1, metavar="COUNT", help="its processors")
    new.add_argument(
        "--cpu", default="Nehalem", metavar="MODEL", help="their model: a named one, that all hosts have"
    )
    new.add_argument("--machine", default="pc-q35-7.2", metavar="TYPE", help="machine type with its version")
    bring = verbs.add_parser(
        "import", help="read a base from a file; a zip of elijah-provisioning is booted again"
    )
    bring.add_argument("file", type=Path, help="what 'export' wrote, or a zip of elijah-provisioning")
    bring.add_argument("--name", help="of the new base (needed for a zip)")
    bring.add_argument("--ready", metavar="TEXT", default="login:", help="for a zip, as for create")
    bring.add_argument(
        "--timeout", type=float, default=600, metavar="SECONDS", help="for a zip, as for create"
    )
    bring.add_argument(
        "--memory", type=memory_mib, default=1024, metavar="MIB", help="for a zip, as for create"
    )
    out = verbs.add_parser("export", help="write a base to a file")
    out.add_argument("base", help="a base, by name or id")
    out.add_argument("file", type=Path, help="to be written")
    listed = verbs.add_parser("list", help="list the bases that are here")
    one = verbs.add_parser("show", help="show one base")
    verify = verbs.add_parser("verify", help="read all of a base and compare with its hashes")
    remove = verbs.add_parser("remove", help="remove a base that no overlay here and no session needs")
    for part in (one, verify, remove):
        part.add_argument("base", help="a base, by name or id")
    for part in (new, bring, listed, one):
        json_argument(part)


def run(args: argparse.Namespace) -> int:
    store = opened(args)
    match args.verb_of:
        case "list":
            return show([base.about() for base in store.bases()], args)
        case "create":
            return show(_created(store, args).about(), args)
        case "import":
            return show(_imported(store, args).about(), args)
    base = store.base(args.base)
    match args.verb_of:
        case "show":
            return show(base.about(), args)
        case "verify":
            base.verify()
            report("all of it matches its manifest")
        case "export":
            portable.export(base, args.file)
        case "remove":
            remove_base(store, base)
    return 0


def _created(store: Store, args: argparse.Namespace) -> Base:
    try:
        machine = Machine(args.machine, args.cpu, args.cpus, args.memory)
    except ValueError as reason:
        raise UsageError(f"There is no such machine: {reason}.") from None
    if args.image:
        return create.from_image(store, args.name, machine, args.image, args.ready, args.timeout, report)
    return create.from_recipe(store, args.name, machine, report)


def _imported(store: Store, args: argparse.Namespace) -> Base:
    existing_file(args.file)
    if not elijah.is_package(args.file):
        return portable.import_(store, args.file, report, args.name)
    if not args.name:
        raise UsageError("A zip of elijah-provisioning needs a name: --name NAME.")
    machine = Machine(memory_mib=args.memory)
    return create.from_zip(store, args.file, args.name, machine, args.ready, args.timeout, report)
