"""Making a lab: what its file describes, out of namespaces and cables. Whoever calls this holds the lab's lock."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from skerry.common import log
from skerry.common.errors import CommandError, PreflightError
from skerry.common.namespaces import HOST, namespace_of
from skerry.common.privilege import require_root
from skerry.common.proc import last_lines
from skerry.common.process import kill, start_of
from skerry.lab.hosts import disks
from skerry.lab.links import ovs, shaping, uplink, veth
from skerry.lab.model import LabFile
from skerry.lab.state import FABRIC, MARKER, VARIABLE, Cable, LabState, Node, Places, Shape

TOOLS = {
    "ip": "iproute2",
    "tc": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}


def preflight(file: LabFile) -> None:
    """Raises PreflightError when something that this lab needs is missing on the machine."""
    require_root("A lab is made of namespaces, and that needs root.")
    for tool, package in {**TOOLS, **({"nft": "nftables"} if file.outside else {})}.items():
        if not shutil.which(tool):
            raise PreflightError(f"'{tool}' is not installed.", remedy=f"Install {package}.")
    if any(part.kind == "ovs" for part in file.switch):
        ovs.preflight()
    for part in file.host:
        for folder in (*part.shared, *([part.root] if part.root else [])):
            if not Path(folder).is_dir():
                raise PreflightError(
                    f"Host {part.name}: there is no folder {folder}.", remedy="Make it first."
                )


def merge(places: Places, file: LabFile, old: LabState | None) -> LabState:
    """What should be, with the numbers that things already have."""
    if old is None:
        state = LabState(file=file, overlay=disks.lays_over(places.folder / MARKER))
    else:
        state = LabState(file=file, overlay=old.overlay, faults=old.faults)
        if file.outside:
            names = {part.name for part in file.host}
            state.network = old.network
            state.connected = [name for name in old.connected if name in names]
    had = old.cables if old else {}
    free = _free(cable.number for cable in had.values())
    for link in file.link:
        before = had.get(link.key)
        state.cables[link.key] = (
            before if before and before.link == link else Cable(number=next(free), link=link)
        )
    state.faults = [fault for fault in state.faults if fault.link is None or fault.link in state.cables]
    numbers = old.numbers if old else {}
    free = _free(numbers.values())
    for part in file.host:
        state.numbers[part.name] = numbers[part.name] if part.name in numbers else next(free)
    return state


def _free(taken: Iterable[int]) -> Iterator[int]:
    """Numbers that are not taken, from 0."""
    used = set(taken)
    number = 0
    while True:
        if number not in used:
            yield number
        number += 1


def take_out(places: Places, old: LabState, new: LabState) -> Iterator[str]:
    """Remove what the new file no longer names, or describes differently."""
    nodes = {node.name: node for node in places.nodes()}
    fabric = nodes[FABRIC].pid if FABRIC in nodes and nodes[FABRIC].alive else 0

    def cut(lines: Iterable[str]) -> None:
        if fabric:
            veth.ip(lines, fabric, check=False)

    for key, cable in old.cables.items():
        if new.cables.get(key) is not cable:
            shaping.forget(cable)
            cut(veth.remove(cable))
            yield f"link {key} taken out"
    switches = [part for part in old.file.switch if part not in new.file.switch]
    names = [part.name for part in new.file.host] + [part.name for part in new.file.switch]
    kept = set(names) - {part.name for part in switches}
    for name, node in nodes.items():
        if name != FABRIC and name not in kept:
            kill([node.pid] if node.there else [])
            places.node(name).unlink(missing_ok=True)
            shutil.rmtree(places.folder / name, ignore_errors=True)
            yield f"{node.kind} {name} taken out"
    before = {part.name: part for part in old.file.host}
    for part in new.file.host:
        if part.name in nodes and before.get(part.name, part) != part and nodes[part.name].there:
            kill([nodes[part.name].pid])
            yield f"host {part.name} stopped, because it has changed"
    cut(f"link delete dev {part.name}" for part in switches if part.kind == "bridge")
    gone = set(old.numbers) - set(new.numbers)
    cut(f"link delete dev {veth.outside_port(old.numbers[name])}" for name in gone if old.file.outside)
    if old.file.outside and not new.file.outside:
        uplink.remove(places)
        ports = [veth.outside_port(number) for number in old.numbers.values()]
        cut(f"link delete dev {name}" for name in (*ports, uplink.BRIDGE))
        yield "the way outside taken out"


class Builder:
    """Brings a lab to its state."""

    def __init__(self, places: Places, state: LabState) -> None:
        self.places, self.state, self.file = places, state, state.file
        self._frame: list[tuple[str, int, int, int]] = []

    def converge(self, hosts: set[str]) -> list[str]:
        """Start what does not run of ``hosts`` and of the switches, and make what is missing of cables.

        Returns what was done. Raises PreflightError where namespaces cannot be made, CommandError.
        """
        file, state = self.file, self.state
        nodes = self.places.nodes()
        kill(node.pid for node in nodes if node.there and not node.alive)
        running = {node.name: node for node in nodes if node.alive}
        for name in [node.name for node in running.values() if node.kind == "switch"]:
            if not ovs.works(name, running[name].pid):
                kill([running.pop(name).pid])
        missing = [part.name for part in file.host if part.name in hosts and part.name not in running]
        switches = [one for one in file.switch if one.kind == "ovs" and one.name not in running]
        specifications = [] if FABRIC in running else [self._fabric()]
        specifications += [ovs.specification(one.name) for one in switches]
        specifications += [self._host(name) for name in missing]
        started = self._boot(specifications)
        self._forget(set(started))
        self.places.write_state(state)
        for part in file.host:
            if part.name in running:
                self._tell(running[part.name])
        pids = {name: node.pid for name, node in {**running, **started}.items()}
        done = [f"host {name} started" for name in missing]
        for switch in switches:
            ovs.start(switch, pids[switch.name])
            done.append(f"switch {switch.name} made")
        have = veth.interfaces(pids[FABRIC])
        self._check(have)
        done += self._bridges(pids[FABRIC], have)
        done += self._outside(pids)
        done += self._cable(pids)
        self.places.write_state(state)
        return done

    def power_off(self, host: str) -> None:
        """End a host at once; its cables stay where they are, with nobody at this end."""
        node = self.places.read_node(host)
        if node and node.there:
            kill([node.pid])
        if node:
            node.pid = node.started = 0
            self.places.write_node(node)
        fabric = self.places.read_node(FABRIC)
        lines = self._forget({host})
        self.places.write_state(self.state)
        if fabric and fabric.alive:
            if host in self.state.numbers and self.file.outside:
                lines.append(f"link delete dev {veth.outside_port(self.state.numbers[host])}")
            veth.ip(lines, fabric.pid, check=False)

    def _forget(self, gone: set[str]) -> list[str]:
        """Note that some nodes lost their interfaces; returns the commands for the fabric."""
        lines = []
        for cable in self.state.cables.values():
            lost = FABRIC in gone
            sides = veth.SIDES if lost else veth.sides_at(self.file, cable, gone)
            if sides:
                cable.made = "".join(side for side in cable.made if side not in sides)
                cable.shape = None
                shaping.forget(cable)
                lines += [*veth.remove(cable, sides), *veth.carrier(cable)]
        self.state.connected = [name for name in self.state.connected if not gone & {name, FABRIC}]
        return lines

    def _fabric(self) -> dict[str, Any]:
        return {
            "name": FABRIC,
            "kind": "fabric",
            "hostname": self.file.name,
            "spaces": HOST,
            "mounts": [["tmpfs", "/run", "mode=755"]],
            "settings": {f"net/ipv6/conf/{which}/disable_ipv6": "1" for which in ("all", "default")},
        }

    def _host(self, name: str) -> dict[str, Any]:
        part = self.file.host_part(name)
        folder = self.places.kept_by(part)
        if not part.root:
            self._frame = self._frame or disks.var_frame()
            disks.make(folder, overlay=self.state.overlay, frame=self._frame)
        return {
            "name": name,
            "kind": "host",
            "hostname": name,
            "spaces": (*(["cgroup"] if namespace_of("self", "cgroup") else []), *HOST),
            "root": part.root,
            "mounts": disks.mounts(part, folder, overlay=self.state.overlay),
            "files": disks.files(self.file, name, folder),
            # A new network takes this over from the machine, which may be a router.
            "settings": {"net/ipv4/ip_forward": "0"},
        }

    def _boot(self, specifications: list[dict[str, Any]]) -> dict[str, Node]:
        """Start first processes, all at once, and write their records."""
        if not specifications:
            return {}
        argv = [sys.executable, "-I", "-S", str(Path(__file__).parent / "hosts/boot.py")]
        with log.command(argv) as running:
            done = subprocess.run(
                argv,
                input=json.dumps({"mark": self.places.mark, "nodes": specifications}),
                capture_output=True,
                text=True,
                cwd="/",
                env={**os.environ, VARIABLE: self.places.mark},
                timeout=120,
            )
            running.ended(done.returncode, done.stderr)
        if done.returncode:
            raise CommandError("boot.py", f"exit status {done.returncode}", last_lines(done.stderr))
        said = {answer["name"]: answer for answer in map(json.loads, done.stdout.splitlines())}
        nodes = {}
        for specification in specifications:
            name, is_host = specification["name"], specification["kind"] == "host"
            if not said[name].get("ready"):
                continue
            nodes[name] = Node(
                name=name,
                kind=specification["kind"],
                lab=self.file.name,
                pid=said[name]["pid"],
                started=start_of(said[name]["pid"]) or 0,
                uuid=str(self.file.uuid_of(name)) if is_host else None,
                folder=str(self.places.kept_by(self.file.host_part(name))) if is_host else None,
                namespaces=list(specification["spaces"]),
                addresses=self._addresses(name) if is_host else {},
            )
            self.places.write_node(nodes[name])
        for name, answer in said.items():
            if name not in nodes:
                raise PreflightError(
                    f"A host of namespaces cannot be made here: {name}: {answer.get('error', 'it ended')}",
                    remedy="Run it as root and outside of a container, or in one that may make namespaces.",
                )
        return nodes

    def _addresses(self, host: str) -> dict[str, list[str]]:
        return {
            end.partition(":")[2]: list(addresses)
            for link in self.file.link
            for end, addresses in link.addresses.items()
            if end.partition(":")[0] == host
        }

    def _tell(self, node: Node) -> None:
        """Let a host that runs know the hosts that are new, and note its addresses."""
        path = Path(f"/proc/{node.pid}/root/etc/hosts")
        before = path.read_text() if path.exists() else ""
        text = disks.hosts_file(self.file, node.name, before)
        if text != before:
            path.write_text(text)
        if node.addresses != (addresses := self._addresses(node.name)):
            node.addresses = addresses
            self.places.write_node(node)

    def _check(self, have: set[str]) -> None:
        """Believe the notes only as far as the interfaces are there; a killed run, or somebody, may have taken one."""
        for cable in self.state.cables.values():
            there = "".join(side for side in cable.made if veth.port_of(cable, side) in have)
            if there != cable.made:
                cable.made, cable.shape = there, None
        self.state.connected = [
            name for name in self.state.connected if veth.outside_port(self.state.numbers[name]) in have
        ]

    def _bridges(self, fabric: int, have: set[str]) -> list[str]:
        new = [part for part in self.file.switch if part.kind == "bridge" and part.name not in have]
        veth.ip([line for part in new for line in veth.switch(self.file, part)], fabric)
        # A run may have been killed between the two.
        veth.ip(
            [f"link set dev {part.name} up" for part in self.file.switch if part.kind == "bridge"], fabric
        )
        return [f"switch {part.name} made" for part in new]

    def _outside(self, pids: Mapping[str, int]) -> list[str]:
        if not self.file.outside:
            return []
        if not uplink.complete(self.places, pids[FABRIC]):
            self.state.connected = []
            uplink.ensure(self.places, self.state, pids[FABRIC])
        hosts = [part.name for part in self.file.host if part.name in pids]
        new = [name for name in hosts if name not in self.state.connected]
        if new:
            uplink.connect(self.state, new, pids)
            self.state.connected += new
        return [f"host {name} connected to the outside" for name in new]

    def _cable(self, pids: Mapping[str, int]) -> list[str]:
        """Make the sides of links that are not made and whose host or switch is there."""
        file, fabric = self.file, pids[FABRIC]
        new = [
            (cable, sides)
            for cable in self.state.cables.values()
            if (
                sides := "".join(
                    side for side in veth.sides_at(file, cable, set(pids)) if side not in cable.made
                )
            )
        ]
        if new:
            veth.ip([line for cable, sides in new for line in veth.remove(cable, sides)], fabric, check=False)
            veth.ip([line for cable, sides in new for line in veth.create(file, cable, pids, sides)])
            veth.ip([line for cable, sides in new for line in veth.join(file, cable, sides)], fabric)
        self._finish(new, pids)
        for cable, sides in new:
            # With a side that stays, what was done to it stays too.
            cable.shape = None if cable.made else Shape()
            cable.made = "".join(sorted(cable.made + sides))
        veth.ip([line for cable, _ in new for line in veth.carrier(cable)], fabric)
        shaping.apply(self.state, fabric, pids, lambda: self.places.write_state(self.state))
        return [f"link {cable.link.key} made" for cable, _ in new]

    def _finish(self, new: list[tuple[Cable, str]], pids: Mapping[str, int]) -> None:
        """Do what is to be done inside of hosts and switches."""
        file = self.file
        with_ovs = any(part.kind == "ovs" for part in file.switch)
        for name in sorted(set(pids) - {FABRIC}):
            mine = [
                (cable, side)
                for cable, sides in new
                for side in veth.sides_at(file, cable, {name})
                if side in sides
            ]
            if not mine:
                continue
            names = [veth.far_of(cable, side) for cable, side in mine]
            veth.ip(
                [line for cable, side in mine for line in veth.finish(file, cable, name, side)], pids[name]
            )
            if any(part.name == name for part in file.switch):
                ovs.plug_in(name, names, pids[name])
            elif with_ovs:
                ovs.finish_checksums(pids[name], names)
