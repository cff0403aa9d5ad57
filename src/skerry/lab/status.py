"""What a lab is like now."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from skerry.lab.links.veth import SIDES
from skerry.lab.state import FABRIC, Fault, NoSuchLabError, Places


def status(name: str, root: Path | str = "/") -> dict[str, Any]:
    """The lab as data: hosts, switches, links. Raises NoSuchLabError."""
    places = Places(name, Path(root).resolve())
    state = places.read_state()
    if state is None:
        if places.run.is_dir():
            return {"lab": name, "complete": False, "hosts": [], "switches": [], "links": [], "faults": []}
        raise NoSuchLabError(name)
    nodes = {node.name: node for node in places.nodes()}
    fabric = nodes.get(FABRIC)
    hosts = []
    for part in state.file.host:
        node = nodes.get(part.name)
        hosts.append(
            {
                "name": part.name,
                "on": bool(node and node.alive),
                "pid": node.pid if node and node.alive else None,
                "uuid": str(state.file.uuid_of(part.name)),
                "addresses": node.addresses if node else {},
                "folder": str(places.kept_by(part)),
            }
        )
    switches = []
    for switch in state.file.switch:
        node = nodes.get(switch.name) if switch.kind == "ovs" else fabric
        switches.append({"name": switch.name, "kind": switch.kind, "on": bool(node and node.alive)})
    links = [{"link": key, "made": cable.made == SIDES} for key, cable in state.cables.items()]
    parts: Iterable[bool] = [
        *(bool(host["on"]) for host in hosts),
        *(bool(switch["on"]) for switch in switches),
        *(bool(link["made"]) for link in links),
    ]
    return {
        "lab": name,
        "complete": all(parts),
        "outside": state.network,
        "hosts": hosts,
        "switches": switches,
        "links": links,
        "faults": [_fault(fault) for fault in state.faults],
    }


def _fault(fault: Fault) -> dict[str, Any]:
    left = None if fault.until is None else round(max(0.0, fault.until - time.monotonic()), 1)
    return {
        "number": fault.number,
        "kind": fault.kind,
        "at": fault.link or " ".join(filter(None, (fault.host, fault.process))),
        "value": _value(fault),
        "heals_in": left,
    }


def _value(fault: Fault) -> str | None:
    """As the command line takes it."""
    match fault.kind:
        case "rate":
            return f"{fault.value / 1000:g}kbit"
        case "loss":
            return f"{fault.value * 100:g}%"
        case "delay":
            return f"{fault.value * 1000:g}ms"
    return None


def render(found: list[dict[str, Any]]) -> str:
    """The same for people."""
    if not found:
        return "There is no lab. 'skerry lab up FILE' makes one."
    blocks = []
    for lab in found:
        lines = [f"lab {lab['lab']}{'' if lab['complete'] else '  (not complete)'}"]
        if lab.get("outside"):
            lines.append(f"  outside  {lab['outside']}")
        for host in lab["hosts"]:
            given = [text for texts in host["addresses"].values() for text in texts]
            state = f"process {host['pid']}" if host["on"] else "off"
            lines.append(f"  host     {host['name']:16} {state:16} {' '.join(given)}")
        for switch in lab["switches"]:
            lines.append(f"  switch   {switch['name']:16} {switch['kind'] if switch['on'] else 'off'}")
        for link in lab["links"]:
            lines.append(f"  link     {link['link']}{'' if link['made'] else '  (not made)'}")
        for fault in lab["faults"]:
            what = " ".join(filter(None, (fault["kind"], fault["at"], fault["value"])))
            when = (
                f"heals in {fault['heals_in']} s" if fault["heals_in"] is not None else "until it is healed"
            )
            lines.append(f"  fault    {fault['number']}: {what}, {when}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
