"""What the verbs of cloudlets share: the store that they work on, and how results are printed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from skerry.cli.values import port as port_number
from skerry.cli.values import whole
from skerry.cloudlet.handoff.recovery import open_store
from skerry.cloudlet.overlay.store import Store, default_folder
from skerry.common import log
from skerry.common.errors import NotFoundError, UsageError


def opened(args: argparse.Namespace) -> Store:
    """The store that the command line names, with what killed commands left in it settled."""
    if args.store is None:
        log.make_folder()
    return open_store((args.store or default_folder(args.root)).absolute())


def existing_file(name: Path | str) -> Path:
    """A file that the command line names; also as the type of an option. Raises NotFoundError."""
    path = Path(name)
    if not path.exists():
        raise NotFoundError(
            f"There is no file {name}.", remedy="Look at the name, and at the folder you are in."
        )
    return path


def text_of(path: Path | str) -> str:
    """The text of a file that the command line names. Raises NotFoundError, or UsageError when it is no text."""
    try:
        return existing_file(path).read_text()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text.") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder, and a file is needed.") from None


def json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def network_arguments(parser: argparse.ArgumentParser) -> None:
    """What a VM can be given of the network, and what is done in the guest."""
    parser.add_argument(
        "--port", type=port_number, action="append", default=[], metavar="PORT",
        help="a TCP port of the guest to be reached on this host's loopback; can be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--outbound", action="store_true", help="let the guest reach other hosts, and this one's loopback"
    )
    parser.add_argument(
        "--no-agent", action="store_true", help="the guest has no agent: leave clock and card alone"
    )


def listen_arguments(parser: argparse.ArgumentParser, port: int) -> None:
    parser.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS", help="(default: loopback)")
    parser.add_argument(
        "--port", type=whole(0, 65535), default=port, help=f"TCP; 0: any free one (default: {port})"
    )


def report(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def show(result: Any, args: argparse.Namespace) -> int:
    """Print one thing, or a list of them; returns the exit code."""
    print(json.dumps(result, indent=2) if args.json else table(result))
    return 0


def table(result: Any) -> str:
    rows = result if isinstance(result, list) else [result]
    if not rows:
        return "There are none."
    if not isinstance(result, list):
        wide = max(map(len, result))
        return "\n".join(f"{name:{wide}}  {value}" for name, value in result.items())
    heads = list(rows[0])
    cells = [heads, *([str(row[head])[:40] for head in heads] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
