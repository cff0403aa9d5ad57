"""make and use a lab: several hosts, switches and cables on this machine, as namespaces"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from skerry.common.errors import PreflightError
from skerry.lab.lab import Lab, take_down
from skerry.lab.model import load
from skerry.lab.state import Places, labs
from skerry.lab.status import render, status


def arguments(parser: argparse.ArgumentParser) -> None:
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)
    up = parts.add_parser("up", help="make a lab, or bring it to what its file says now")
    up.add_argument("file", type=Path, metavar="FILE", help="the lab file (see docs/how-to/lab.md)")
    up.add_argument("--json", action="store_true", help="print what was done as JSON")
    shown = parts.add_parser("status", help="show the labs, or one: hosts, switches, cables, faults")
    shown.add_argument("name", nargs="?", metavar="NAME", help="which lab (default: all)")
    shown.add_argument("--json", action="store_true", help="print the status as JSON")
    execute = parts.add_parser("exec", help="run a command on a host; ends with its exit status")
    shell = parts.add_parser("shell", help="a shell on a host")
    for part in (execute, shell):
        part.add_argument("--lab", metavar="NAME", help="which lab (default: the only one)")
        part.add_argument("host", metavar="HOST", help="a host of the lab")
    execute.add_argument("command", nargs="+", metavar="COMMAND", help="after two dashes (--): what to run")
    down = parts.add_parser("down", help="take a lab away: processes, interfaces, folders")
    down.add_argument("name", nargs="?", metavar="NAME", help="which lab (default: the only one)")
    down.add_argument("--keep", action="store_true", help="keep what the hosts have in /etc and /var")


def run(args: argparse.Namespace) -> int:
    if os.geteuid() != 0:
        raise PreflightError("A lab is made of namespaces, and that needs root.", remedy="Run it with sudo.")
    return PARTS[args.part](args)


def _up(args: argparse.Namespace) -> int:
    lab = Lab(load(args.file), args.root)
    done = lab.up(lambda text: None if args.json else print(f"  {text}", file=sys.stderr))
    if args.json:
        print(json.dumps({"lab": lab.name, "done": done}, indent=2))
    else:
        print(f"The lab '{lab.name}' is up: {len(done)} things done." if done else "Nothing to do.")
    return 0


def _status(args: argparse.Namespace) -> int:
    names = [args.name] if args.name else labs(Path(args.root))
    found = [status(name, args.root) for name in names]
    print(json.dumps(found, indent=2) if args.json else render(found))
    return 0


def _exec(args: argparse.Namespace) -> int:
    host = Lab.open(args.lab, args.root).host(args.host)
    argv = host.enter(args.command)
    os.execvp(argv[0], argv)


def _shell(args: argparse.Namespace) -> int:
    host = Lab.open(args.lab, args.root).host(args.host)
    argv = host.enter([os.environ.get("SHELL", "/bin/sh")])
    os.execvpe(argv[0], argv, {**os.environ, "PS1": f"{host.name}# "})


def _down(args: argparse.Namespace) -> int:
    have = labs(Path(args.root))
    name = args.name or (have[0] if len(have) == 1 else Lab.open(None, args.root).name)
    take_down(Places(name, Path(args.root).resolve()), keep=args.keep)
    print(f"The lab '{name}' is gone{', its folder is kept' if args.keep else ''}.")
    return 0


PARTS = {"up": _up, "status": _status, "exec": _exec, "shell": _shell, "down": _down}
