"""'skerry lab fault'."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from skerry.cli.lab import NEEDS_ROOT, choice
from skerry.common.errors import UsageError
from skerry.common.privilege import require_root
from skerry.lab import units
from skerry.lab.lab import Lab


def arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
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
    freeze = kinds.add_parser("freeze", help="stop processes of a host; they continue when it heals")
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
        choice(part)


def _number(convert: Callable[[object], float]) -> Callable[[str], float]:
    """What argparse calls, with the reason when it is wrong."""

    def converted(text: str) -> float:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


def run(args: argparse.Namespace) -> int:
    require_root(NEEDS_ROOT)
    lab = Lab.open(args.lab, args.root)
    if args.kind == "heal":
        healed = lab.heal(args.number)
        print(f"{len(healed)} healed." if healed else "There is no fault.")
    elif args.kind == "power" and args.state == "on":
        if args.duration is not None:
            raise UsageError("--for goes with 'power HOST off': the host is started again after that time.")
        lab.host(args.host).power_on()
        print(f"The host {args.host} is on.")
    else:
        _break(lab, args)
    return 0


def _break(lab: Lab, args: argparse.Namespace) -> None:
    kind = "silent" if args.kind == "cut" and args.silent else args.kind
    chosen = {part: getattr(args, part, None) for part in ("link", "host", "process")}
    fault = lab.break_(kind, **chosen, value=getattr(args, "value", 0.0), duration=args.duration)
    if args.duration is not None:
        print(f"Fault {fault.number} heals in {args.duration:g} s.")
    elif kind != "kill":
        print(f"Fault {fault.number} stays until 'skerry lab fault heal {fault.number}'.")
