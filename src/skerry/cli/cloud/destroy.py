"""'skerry destroy'."""

from __future__ import annotations

import argparse
import sys

from skerry.cloud.operations.destroy import destroy, what_goes
from skerry.common.errors import RefusedError

WORD = "destroy"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask for the word")
    parser.add_argument("--keep-packages", action="store_true", help="leave the packages that were installed")


def run(args: argparse.Namespace) -> int:
    print("This removes for good:", file=sys.stderr)
    for line in what_goes(args.root, packages=not args.keep_packages):
        print(f"  {line}", file=sys.stderr)
    if not args.yes:
        try:
            typed = input(f"Type '{WORD}' to continue: ")
        except EOFError:
            typed = ""
        if typed.strip() != WORD:
            raise RefusedError("Nothing was removed: the word was not typed.")
    destroy(args.root, lambda text: print(f"  {text}", file=sys.stderr), packages=not args.keep_packages)
    return 0
