"""'skerry config'."""

from __future__ import annotations

import argparse
import json

from skerry.cloud.context import Context
from skerry.cloud.operations.options import every_problem, explain


def arguments(parser: argparse.ArgumentParser) -> None:
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)
    one = parts.add_parser("explain", help="what an option means, may be, and is here")
    one.add_argument(
        "option",
        metavar="OPTION",
        help="[SERVICE/][SECTION/]NAME (nova/libvirt/virt_type), or cloud.SECTION.NAME for cloud.toml",
    )
    one.add_argument("--json", action="store_true", help="print it as JSON")
    every = parts.add_parser(
        "validate", help="check every layer of every service; exit status 3 with problems"
    )
    every.add_argument("--json", action="store_true", help="print the problems as JSON")


def run(args: argparse.Namespace) -> int:
    ctx = Context.at(args.root)
    if args.part == "explain":
        found = explain(ctx, args.option)
        if args.json:
            print(json.dumps([answer.to_dict() for answer in found], indent=2))
        else:
            print("\n\n".join(answer.render() for answer in found))
        return 0
    problems = list(every_problem(ctx))
    errors = sum(problem.level == "error" for problem in problems)
    if args.json:
        print(json.dumps([problem.to_dict() for problem in problems], indent=2))
    else:
        for problem in problems:
            print(problem)
        print(
            f"{errors} errors, {len(problems) - errors} warnings." if problems else "Every option is right."
        )
    return 3 if errors else 0
