"""'skerry completion'."""

from __future__ import annotations

import argparse

import shtab

from skerry.cli.parser import parser as whole


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh"], help='e.g. eval "$(./skerry completion bash)"')


def run(args: argparse.Namespace) -> int:
    print(shtab.complete(whole(everything=True), shell=args.shell))
    return 0
