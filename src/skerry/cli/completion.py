"""print what a shell needs to complete skerry's commands"""

from __future__ import annotations

import argparse

import shtab


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh"], help='e.g. eval "$(./skerry completion bash)"')


def run(args: argparse.Namespace) -> int:
    from skerry.cli.main import parser

    print(shtab.complete(parser(), shell=args.shell))
    return 0
