"""Cables, as commands of iproute2.

Each link has a bridge of its own between its two ends, in the lab's fabric: a namespace that only the lab enters. The
bridge learns nothing and passes everything on, so that it is no more than a piece of cable; but faults have a place
there, whatever the ends are. Frames that a bridge must not pass on (STP, pause, LACP) do not get through.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Set

from skerry.common.namespaces import entering
from skerry.common.proc import run
from skerry.lab.model import OUTSIDE, LabFile, SwitchPart, low_mac
from skerry.lab.state import FABRIC, Cable

# Everything to 01:80:c2:00:00:0X but X = 0, 1, 2, which the kernel refuses to pass on.
PASS_ON = "0xfff8"
# When the program that makes the lab is killed, what it had started must not run beside what the next one does.
END_WITH_US = ("setpriv", "--pdeathsig", "KILL")
SIDES = "ab"
Lines = list[str]


def bridge_of(cable: Cable) -> str:
    return f"w_{cable.number}"


def port_of(cable: Cable, side: str) -> str:
    """The end of the cable that is in the fabric, on one side."""
    return f"w_{cable.number}{side}"


def far_of(cable: Cable, side: str) -> str:
    """The interface on one side that belongs to the host or switch there."""
    end = cable.link.ends[SIDES.index(side)]
    return end.partition(":")[2] or f"s_{cable.number}{side}"


def place_of(lab: LabFile, end: str) -> str:
    """The node in whose network an end of a link is."""
    if ":" in end:
        return end.partition(":")[0]
    return end if kind_of(lab, end) == "ovs" else FABRIC


def sides_at(lab: LabFile, cable: Cable, nodes: Set[str]) -> str:
    """The sides of a link that are in the network of one of the nodes."""
    places = zip(SIDES, cable.link.ends, strict=True)
    return "".join(side for side, end in places if place_of(lab, end) in nodes)


def kind_of(lab: LabFile, switch: str) -> str:
    return next(part.kind for part in lab.switch if part.name == switch)


def create(lab: LabFile, cable: Cable, pids: Mapping[str, int], sides: str = SIDES) -> Lines:
    """Make the pairs; to be run in this machine's network, which they never touch."""
    lines = []
    for side in sides:
        end = cable.link.ends[SIDES.index(side)]
        port, far = port_of(cable, side), far_of(cable, side)
        mac = lab.mac_of(end, cable.link) if ":" in end else low_mac(f"{lab.name}/{far}")
        lines.append(
            f"link add name {far} address {mac} netns {pids[place_of(lab, end)]} type veth"
            f" peer name {port} address {low_mac(f'{lab.name}/{port}')} netns {pids[FABRIC]}"
        )
    return lines


def join(lab: LabFile, cable: Cable, sides: str = SIDES) -> Lines:
    """Make the piece of cable between them, and plug it into bridges; to be run in the fabric."""
    lines = []
    bridge = bridge_of(cable)
    if not cable.made:
        lines += [
            f"link add name {bridge} address {low_mac(f'{lab.name}/{bridge}')} type bridge"
            f" ageing_time 0 mcast_snooping 0 group_fwd_mask {PASS_ON}",
            f"link set dev {bridge} up",
        ]
    for side in sides:
        end, port = cable.link.ends[SIDES.index(side)], port_of(cable, side)
        lines.append(f"link set dev {port} master {bridge} alias {end}")
        if place_of(lab, end) == FABRIC:
            lines.append(f"link set dev {far_of(cable, side)} master {end} up")
    return lines


def carrier(cable: Cable) -> Lines:
    """Let both ends see whether there is somebody at the other; to be run in the fabric."""
    up = cable.made == SIDES and not (cable.shape and cable.shape.cut)
    return [f"link set dev {port_of(cable, side)} {'up' if up else 'down'}" for side in cable.made]


def finish(lab: LabFile, cable: Cable, node: str, sides: str = SIDES) -> Lines:
    """Addresses and state of a link's interfaces; to be run in the network of one of its hosts or switches."""
    lines = []
    for side, end in zip(SIDES, cable.link.ends, strict=True):
        if place_of(lab, end) == node and node != FABRIC and side in sides:
            far = far_of(cable, side)
            for text in cable.link.addresses.get(end, ()):
                # Nobody else has it; the check would take a second.
                lines.append(f"address add {text} dev {far}{' nodad' if ':' in text else ''}")
            lines.append(f"link set dev {far} up")
    return lines


def remove(cable: Cable, sides: str = SIDES) -> Lines:
    """Take a link away, or one side of it, or what there is; to be run in the fabric."""
    names = [port_of(cable, side) for side in sides]
    return [f"link delete dev {name}" for name in (*names, *([bridge_of(cable)] if sides == SIDES else []))]


def switch(lab: LabFile, part: SwitchPart) -> Lines:
    """Make a bridge that is a switch; to be run in the fabric."""
    mac = low_mac(f"{lab.name}/switch/{part.name}")
    return [f"link add name {part.name} address {mac} type bridge mcast_snooping 0"]


def outside_port(number: int) -> str:
    return f"o_{number}"


def outside_pair(lab: LabFile, host: str, number: int, pids: Mapping[str, int]) -> Lines:
    """A host's way outside; to be run in this machine's network."""
    return [
        f"link add name {OUTSIDE} address {low_mac(f'{lab.name}/{host}/{OUTSIDE}')} netns {pids[host]} type veth"
        f" peer name {outside_port(number)} netns {pids[FABRIC]}"
    ]


def ip(lines: Iterable[str], pid: int | None = None, *, check: bool = True) -> None:
    """Run commands of iproute2, here or in the network of a process. Raises CommandError."""
    text = "\n".join(lines)
    if text:
        argv = ["ip", *([] if check else ["-force"]), "-batch", "-"]
        argv = entering(pid, argv, ["net"]) if pid else argv
        run([*END_WITH_US, *argv], input=text + "\n", timeout=60, check=check)


def interfaces(pid: int) -> set[str]:
    """The names of the interfaces in the network of a process."""
    shown = run(entering(pid, ["ip", "-json", "link", "show"], ["net"]), timeout=20).stdout
    return {link["ifname"] for link in json.loads(shown)}
