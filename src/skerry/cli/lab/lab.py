"""make and use a lab: several hosts, switches and cables on this machine, as namespaces"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

from skerry.common.errors import NotFoundError, PreflightError, UsageError
from skerry.lab import units
from skerry.lab.lab import Lab, only, take_down
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
    execute.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="after two dashes (--): what to run"
    )
    down = parts.add_parser("down", help="take a lab away: processes, interfaces, folders")
    down.add_argument("name", nargs="?", metavar="NAME", help="which lab (default: the only one)")
    down.add_argument("--keep", action="store_true", help="keep what the hosts have in /etc and /var")
    fault = parts.add_parser("fault", help="break something on purpose, for a time")
    kinds = fault.add_subparsers(dest="kind", metavar="KIND", required=True)
    cut = kinds.add_parser("cut", help="cut a link: both ends lose their carrier")
    cut.add_argument("--silent", action="store_true", help="the carrier stays, every frame vanishes")
    rate = kinds.add_parser("rate", help="limit a link in each direction")
    loss = kinds.add_parser("loss", help="lose a share of a link's frames")
    delay = kinds.add_parser("delay", help="let a link's frames arrive later")
    for part in (cut, rate, loss, delay):
        part.add_argument(
            "link", metavar="LINK", help="its name, the end at a host (h1:eth0), or SWITCH--SWITCH"
        )
    rate.add_argument("value", type=_number(units.rate), metavar="RATE", help="such as 10mbit")
    loss.add_argument("value", type=_number(units.share), metavar="SHARE", help="such as 5%%")
    delay.add_argument("value", type=_number(units.seconds), metavar="TIME", help="such as 20ms")
    freeze = kinds.add_parser("freeze", help="stop processes of a host; they go on when it heals")
    kill = kinds.add_parser("kill", help="kill processes of a host; with --for, whenever they come back")
    power = kinds.add_parser("power", help="pull a host's plug, or put it in again")
    for part in (freeze, kill, power):
        part.add_argument("host", metavar="HOST", help="a host of the lab")
    for part in (freeze, kill):
        part.add_argument("process", metavar="PROCESS", help="a program's name, or a number on the host")
    power.add_argument("state", choices=("off", "on"), help="off or on")
    for part in (cut, rate, loss, delay, freeze, kill, power):
        part.add_argument(
            "--for",
            dest="duration",
            type=_number(units.seconds),
            metavar="TIME",
            help="heal after this time, such as 5s (default: when healed by hand)",
        )
    heal = kinds.add_parser("heal", help="heal a fault, or all")
    heal.add_argument("number", nargs="?", type=int, metavar="FAULT", help="its number in 'lab status'")
    for part in (cut, rate, loss, delay, freeze, kill, power, heal):
        part.add_argument("--lab", metavar="NAME", help="which lab (default: the only one)")


def _number(convert: Callable[[object], float]) -> Callable[[str], float]:
    """What argparse calls, with the reason when it is wrong."""

    def converted(text: str) -> float:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


def run(args: argparse.Namespace) -> int:
    if os.geteuid() != 0:
        raise PreflightError("A lab is made of namespaces, and that needs root.", remedy="Run it with sudo.")
    return PARTS[args.part](args)


def _up(args: argparse.Namespace) -> int:
    lab = Lab(load(args.file), args.root)
    done = lab.up()
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
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise UsageError("There is no command to run.", remedy="skerry lab exec HOST -- COMMAND")
    argv = Lab.open(args.lab, args.root).host(args.host).enter(command)
    os.execvp(argv[0], argv)


def _shell(args: argparse.Namespace) -> int:
    host = Lab.open(args.lab, args.root).host(args.host)
    argv = host.enter([os.environ.get("SHELL", "/bin/sh")])
    os.execvpe(argv[0], argv, {**os.environ, "PS1": f"{host.name}# "})


def _down(args: argparse.Namespace) -> int:
    name = args.name or only(args.root)
    take_down(Places(name, Path(args.root).resolve()), keep=args.keep)
    print(f"The lab '{name}' is gone{', its folder is kept' if args.keep else ''}.")
    return 0


def _fault(args: argparse.Namespace) -> int:
    lab = Lab.open(args.lab, args.root)
    if args.kind == "heal":
        healed = [fault for fault in lab.state().faults if args.number in (None, fault.number)]
        if args.number is not None and not healed:
            raise NotFoundError(f"There is no fault {args.number}.", remedy="'skerry lab status' lists them.")
        for fault in healed:
            lab.heal(fault)
        print(f"{len(healed)} healed." if healed else "There is no fault.")
        return 0
    if args.kind == "power" and args.state == "on":
        if args.duration is not None:
            raise UsageError("--for goes with 'power HOST off': the host is started again after that time.")
        lab.host(args.host).power_on()
        print(f"The host {args.host} is on.")
        return 0
    kind = "silent" if args.kind == "cut" and args.silent else args.kind
    chosen = {part: getattr(args, part, None) for part in ("link", "host", "process")}
    fault = lab.break_(kind, **chosen, value=getattr(args, "value", 0.0), duration=args.duration)
    if args.duration is not None:
        print(f"Fault {fault.number} heals in {args.duration:g} s.")
    elif kind != "kill":
        print(f"Fault {fault.number} stays until 'skerry lab fault heal {fault.number}'.")
    return 0


PARTS = {"up": _up, "fault": _fault, "status": _status, "exec": _exec, "shell": _shell, "down": _down}
