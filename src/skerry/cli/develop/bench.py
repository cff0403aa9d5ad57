"""'skerry bench'."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile

from rich.console import Console
from rich.table import Table

from skerry.cloud.model.layout import Layout
from skerry.common import proc
from skerry.common.errors import InterruptError, NotFoundError, did_you_mean


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a benchmark: a file in benchmarks/")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    layout = Layout.at(args.root)
    script = layout.checkout / "benchmarks" / f"{args.name}.py"
    names = sorted(path.stem for path in script.parent.glob("[!_]*.py"))
    if args.name not in names:
        have = ", ".join(names)
        slip = did_you_mean(args.name, names)
        raise NotFoundError(f"There is no benchmark '{args.name}'.{slip}", remedy=f"There are: {have}")
    # Benchmarks share what tests have, which is a package of the checkout.
    places = [str(layout.checkout), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    argv = [sys.executable, "-m", f"benchmarks.{args.name}"]
    with tempfile.TemporaryFile("w+") as file:
        code = proc.attended(argv, env=environment, stdout=file)
        file.seek(0)
        printed = file.read()
    if code:
        return code if code == InterruptError.exit_code else 1
    if args.json:
        print(printed, end="")
        return 0
    table = Table(box=None, header_style="bold")
    for column in ("figure", "value", "must", "aim", "peer", "ratio"):
        table.add_column(column)
    for row in json.loads(printed):
        peer = f"{row['peer_value']} ({row['peer']})" if row["peer"] else ""
        shown = (f"{row['value']} {row['unit']}", row["must"], row["aim"], peer, row["ratio"])
        table.add_row(row["name"], *("" if value is None else str(value) for value in shown))
    Console(width=140).print(table)
    return 0
