"""'skerry user'."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.operations.people import QUOTAS, ROLES, People, quotas, render


def arguments(parser: argparse.ArgumentParser) -> None:
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)
    new = parts.add_parser(
        "create", help="give a person an account, a project and a clouds.yaml; can be repeated"
    )
    new.add_argument("name", metavar="NAME", help="of the person's account")
    new.add_argument(
        "--project", metavar="PROJECT", help="made if need be (default: one of the person's name)"
    )
    new.add_argument("--role", choices=ROLES, help="in that project (default: member)")
    new.add_argument(
        "--quota",
        action="append",
        default=[],
        metavar="KEY=NUMBER",
        help=f"of the project; can be repeated. KEY: {', '.join(key for keys in QUOTAS.values() for key in keys)}",
    )
    new.add_argument(
        "--out", type=Path, metavar="FILE", help="write the clouds.yaml there, too: a file or a folder (0600)"
    )
    listed = parts.add_parser("list", help="the people who have an account")
    gone = parts.add_parser("delete", help="remove an account; its project stays, with what is in it")
    gone.add_argument("name", metavar="NAME", help="of the person's account")
    for part in (new, listed, gone):
        part.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    wanted = quotas(args.quota) if args.part == "create" else {}
    ctx = Context.existing(args.root)
    ctx.demand_up()
    people = People(ctx)
    if args.part == "list":
        found = people.all()
        print(json.dumps([one.to_dict() for one in found], indent=2) if args.json else render(found))
        return 0
    if args.part == "delete":
        project = people.delete(args.name)
        text = f"{args.name} has no account any more."
        if project:
            text += (
                f" Project {project} is still there: 'skerry openstack project delete {project}' removes it."
            )
        print(json.dumps({"deleted": args.name, "project": project}) if args.json else text)
        return 0
    person = people.create(args.name, project=args.project, role=args.role, quota=wanted)
    path = people.hand_over(args.name, args.out) if args.out else Path(person.clouds_yaml or "")
    if args.json:
        print(json.dumps({**person.to_dict(), "file": str(path)}, indent=2))
        return 0
    did = f"new: {', '.join(person.changed)}" if person.changed else "nothing had to change"
    print(f"{person.name} is {person.role} of project {person.project} ({did}).")
    print(f"To hand over: {path}")
    return 0
