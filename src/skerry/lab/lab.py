"""A lab: hosts, switches and cables on this machine, made and kept as a lab file says.

A lab outlives the program that made it. Everything of it is found again by its records and by a mark in the
environment of its processes, so that whatever a killed run left is put right, or taken away, by the next.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

from skerry.common.errors import CommandError, NotFoundError, PreflightError
from skerry.common.proc import last_lines
from skerry.lab import disks, outside, wires
from skerry.lab.inside import Inside
from skerry.lab.model import LabFile
from skerry.lab.state import FABRIC, VARIABLE, Node, NoSuchLabError, Places, State, Wire, kill, labs, start_of

SPACES = ("mount", "uts", "ipc", "net", "pid")
TOOLS = {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux", "mount": "mount"}
Say = Callable[[str], None]


def quiet(text: str) -> None:
    """Say nothing."""


class LabHost(Inside):
    """A host of a lab: run programs there, enter its network, power it off and on."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name = lab, name

    @property
    def node(self) -> Node:
        """Its record. Raises NoSuchLabError when the lab is not up."""
        node = self.lab.places.read_node(self.name)
        if node is None:
            raise NoSuchLabError(self.lab.name)
        return node

    @property
    def pid(self) -> int:  # type: ignore[override]
        """The number of its first process, as this machine counts; 0 while it is off."""
        node = self.node
        self.spaces = node.namespaces
        return node.pid if node.alive else 0

    @property
    def uuid(self) -> str:
        return str(self.lab.file.uuid_of(self.name))

    @property
    def folder(self) -> Path:
        """What it keeps when it is off: ``etc`` (its changes, or all of it) and ``var``."""
        return self.lab.places.folder / self.name

    @property
    def address(self) -> str | None:
        """Its first address, without the prefix length."""
        return self.lab.file.address_of(self.name)

    def power_off(self) -> None:
        """Pull the plug: all processes die at once; /run, /tmp and /dev/shm are lost."""
        with self.lab.places.locked():
            self.lab._power_off([self.name])

    def power_on(self) -> None:
        """Start it with what it kept, and plug its cables in. Nothing happens when it is on."""
        with self.lab.places.locked():
            self.lab._converge(self.lab._state(), {self.name}, quiet)


class Lab:
    """A lab, as a context manager or with ``up`` and ``down``.

    ``root`` is the folder under which ``run/skerry-lab`` and ``var/lib/skerry-lab`` are.
    """

    def __init__(self, file: LabFile, root: Path | str = "/") -> None:
        self.file = file
        self.name = file.name
        self.places = Places(file.name, Path(root).resolve())

    @classmethod
    def open(cls, name: str | None = None, root: Path | str = "/") -> Lab:
        """A lab that is up: by its name, or the only one. Raises NoSuchLabError or NotFoundError."""
        have = labs(Path(root))
        if name is None and len(have) != 1:
            what = f"There are several labs: {', '.join(have)}." if have else "There is no lab."
            raise NotFoundError(
                what, remedy="Say which: --lab NAME." if have else "'skerry lab up FILE' makes one."
            )
        chosen = name or have[0]
        state = Places(chosen, Path(root)).read_state()
        if state is None:
            raise NoSuchLabError(chosen)
        return cls(state.file, root)

    def __enter__(self) -> Lab:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.down()

    @property
    def hosts(self) -> dict[str, LabHost]:
        return {part.name: LabHost(self, part.name) for part in self.file.host}

    def host(self, name: str) -> LabHost:
        """A host by its name. Raises NotFoundError, which names those that there are."""
        hosts = self.hosts
        if name not in hosts:
            raise NotFoundError(
                f"The lab '{self.name}' has no host '{name}'.", remedy=f"There are: {', '.join(hosts)}"
            )
        return hosts[name]

    # -- up ---------------------------------------------------------------------------------------------

    def up(self, say: Say = quiet) -> list[str]:
        """Bring the lab to what its file says; returns what was done, nothing when it was so already.

        Raises PreflightError where namespaces cannot be made, LabBusyError, CommandError.
        """
        self._preflight()
        with self.places.locked(make=True):
            try:
                self.places.take_folder()
                kill(self.places.strays())
            except BaseException:
                if not self.places.state.exists():
                    self.places.remove_run()
                raise
            old = self.places.read_state()
            state = self._merge(old)
            done = [*self._take_out(old, state)]
            self.places.write_state(state)
            return done + self._converge(state, {part.name for part in self.file.host}, say)

    def _preflight(self) -> None:
        if os.geteuid() != 0:
            raise PreflightError(
                "A lab is made of namespaces, and that needs root.", remedy="Run it with sudo."
            )
        tools = dict(TOOLS)
        if self.file.outside:
            tools["nft"] = "nftables"
        for tool, package in tools.items():
            if not shutil.which(tool):
                raise PreflightError(f"'{tool}' is not installed.", remedy=f"Install {package}.")

    def _state(self) -> State:
        state = self.places.read_state()
        if state is None:
            raise NoSuchLabError(self.name)
        return state

    def _merge(self, old: State | None) -> State:
        """What should be, with the numbers that things already have."""
        state = State(file=self.file)
        if old is None:
            state.overlay = disks.can_overlay(self.places.folder)
        else:
            state.overlay = old.overlay
            if self.file.outside:
                state.network, state.outside_made = old.network, old.outside_made
        had = old.wires if old else {}
        free = _free(wire.number for wire in had.values())
        for link in self.file.link:
            before = had.get(link.key)
            same = before is not None and before.link == link
            state.wires[link.key] = before if before and same else Wire(number=next(free), link=link)
        numbers = old.numbers if old else {}
        free = _free(numbers.values())
        for part in self.file.host:
            state.numbers[part.name] = numbers[part.name] if part.name in numbers else next(free)
        return state

    def _take_out(self, old: State | None, state: State) -> Iterator[str]:
        """Take away what the file no longer names."""
        if old is None:
            return
        nodes = {node.name: node for node in self.places.nodes()}
        fabric = nodes.get(FABRIC)
        for key, wire in old.wires.items():
            if state.wires.get(key) != wire:
                if fabric and fabric.alive:
                    wires.ip(wires.remove(wire), fabric.pid, check=False)
                yield f"link {key} taken out"
        kept = {part.name for part in self.file.host} | {
            part.name for part in self.file.switch if part in old.file.switch
        }
        for name, node in nodes.items():
            if name != FABRIC and name not in kept:
                kill([node.pid] if node.alive else [])
                self.places.node(name).unlink(missing_ok=True)
                shutil.rmtree(self.places.folder / name, ignore_errors=True)
                yield f"{node.kind} {name} taken out"
        gone = [part for part in old.file.switch if part not in self.file.switch and part.kind == "bridge"]
        if fabric and fabric.alive:
            wires.ip([f"link delete {part.name}" for part in gone], fabric.pid, check=False)
        if old.file.outside and not self.file.outside:
            outside.remove(self.places)
            if fabric and fabric.alive:
                ports = [wires.outside_port(number) for number in old.numbers.values()]
                wires.ip(
                    [f"link delete {name}" for name in (*ports, outside.BRIDGE)], fabric.pid, check=False
                )
            yield "the way outside taken out"

    def _converge(self, state: State, wanted: set[str], say: Say) -> list[str]:
        """Start what does not run of ``wanted`` hosts and of the switches, and make what cables are missing."""
        lab = state.file
        before = {node.name: node for node in self.places.nodes() if node.alive}
        missing = [part.name for part in lab.host if part.name in wanted and part.name not in before]
        specifications = [] if FABRIC in before else [self._fabric()]
        specifications += [self._host(state, name) for name in missing]
        started = self._boot(specifications)
        for host in set(before) & {part.name for part in lab.host}:
            self._rename(lab, before[host])
        nodes = {**before, **started}
        pids = {name: node.pid for name, node in nodes.items()}
        new = set(started)
        for wire in state.wires.values():
            if new & {wires.place_of(lab, end) for end in wire.link.ends}:
                wire.made = False
        state.outside_made = [name for name in state.outside_made if not new & {name, FABRIC}]
        self.places.write_state(state)
        if new:
            say(f"started {', '.join(name for name in started if name != FABRIC) or 'the switches'}")
        done = [f"host {name} started" for name in missing]
        done += self._switches(lab, pids[FABRIC])
        done += self._outside(state, pids)
        done += self._cable(state, pids)
        self.places.write_state(state)
        return done

    def _fabric(self) -> dict[str, object]:
        quiet = {f"net/ipv6/conf/{which}/disable_ipv6": "1" for which in ("all", "default")}
        return {
            "name": FABRIC,
            "kind": "fabric",
            "hostname": self.name,
            "spaces": SPACES,
            "mounts": [["tmpfs", "/run", "mode=755"]],
            "settings": quiet,
        }

    def _host(self, state: State, name: str) -> dict[str, object]:
        folder = self.places.folder / name
        frame = self._frame = getattr(self, "_frame", None) or disks.var_frame()
        disks.make(folder, overlay=state.overlay, frame=frame)
        optional = ("cgroup",) if Path("/proc/self/ns/cgroup").exists() else ()
        return {
            "name": name,
            "kind": "host",
            "hostname": name,
            "spaces": (*optional, *SPACES),
            "mounts": disks.mounts(folder, overlay=state.overlay),
            "files": disks.files(state.file, name),
            # A new network takes this over from the machine, which may be a router.
            "settings": {"net/ipv4/ip_forward": "0"},
        }

    def _boot(self, specifications: list[dict[str, object]]) -> dict[str, Node]:
        """Start first processes, all at once, and write their records."""
        if not specifications:
            return {}
        plan = json.dumps({"mark": self.places.mark, "nodes": specifications})
        argv = [sys.executable, "-I", "-S", str(Path(__file__).with_name("boot.py"))]
        done = subprocess.run(
            argv,
            input=plan,
            capture_output=True,
            text=True,
            cwd="/",
            env={**os.environ, VARIABLE: self.places.mark},
            timeout=120,
        )
        if done.returncode:
            raise CommandError("boot.py", f"exit status {done.returncode}", last_lines(done.stderr))
        lab, nodes, failed = self.file, {}, []
        kinds = {str(spec["name"]): spec for spec in specifications}
        for line in done.stdout.splitlines():
            said = json.loads(line)
            name = said["name"]
            if not said.get("ready"):
                failed.append(f"{name}: {said.get('error', 'it ended')}")
                continue
            spec = kinds[name]
            is_host = spec["kind"] == "host"
            node = Node(
                name=name,
                kind=str(spec["kind"]),
                lab=self.name,
                pid=said["pid"],
                started=start_of(said["pid"]) or 0,
                uuid=str(lab.uuid_of(name)) if is_host else None,
                folder=str(self.places.folder / name) if is_host else None,
                namespaces=list(spec["spaces"]),  # type: ignore[call-overload]
                addresses=self._addresses(name) if is_host else {},
            )
            self.places.write_node(node)
            nodes[name] = node
        if failed:
            raise PreflightError(
                f"A host of namespaces cannot be made here: {failed[0]}",
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

    def _rename(self, lab: LabFile, node: Node) -> None:
        """Tell a host that runs of hosts that are new."""
        path = Path(f"/proc/{node.pid}/root/etc/hosts")
        text = disks.hosts_file(lab, node.name)
        if path.read_text() != text:
            path.write_text(text)
        if node.addresses != self._addresses(node.name):
            node.addresses = self._addresses(node.name)
            self.places.write_node(node)

    def _switches(self, lab: LabFile, fabric: int) -> list[str]:
        have = wires.interfaces(fabric)
        new = [part for part in lab.switch if part.kind == "bridge" and part.name not in have]
        wires.ip([line for part in new for line in wires.switch(lab, part)], fabric)
        return [f"switch {part.name} made" for part in new]

    def _outside(self, state: State, pids: Mapping[str, int]) -> list[str]:
        if not state.file.outside:
            return []
        if not state.outside_made and outside.interface(self.places) not in wires.interfaces(os.getpid()):
            outside.ensure(self.places, state, pids[FABRIC])
        hosts = [part.name for part in state.file.host if part.name in pids]
        new = [name for name in hosts if name not in state.outside_made]
        if new:
            outside.connect(self.places, state, new, dict(pids))
            state.outside_made += new
        return [f"host {name} connected to the outside" for name in new]

    def _cable(self, state: State, pids: Mapping[str, int]) -> list[str]:
        """Make the links that are not made and whose ends are both there."""
        lab = state.file
        new = [
            wire
            for wire in state.wires.values()
            if not wire.made and all(wires.place_of(lab, end) in pids for end in wire.link.ends)
        ]
        if not new:
            return []
        fabric = pids[FABRIC]
        wires.ip([line for wire in new for line in wires.remove(wire)], fabric, check=False)
        wires.ip([line for wire in new for line in wires.create(lab, wire, pids)])
        wires.ip([line for wire in new for line in wires.join(lab, wire)], fabric)
        for name in sorted({wires.place_of(lab, end) for wire in new for end in wire.link.ends} - {FABRIC}):
            wires.ip([line for wire in new for line in wires.finish(lab, wire, name)], pids[name])
        for wire in new:
            wire.made = True
        return [f"link {wire.link.key} made" for wire in new]

    # -- down -------------------------------------------------------------------------------------------

    def down(self, *, keep: bool = False) -> None:
        """Take the lab away: processes, interfaces, and its folder unless ``keep``."""
        take_down(self.places, keep=keep)

    def _power_off(self, names: Iterable[str]) -> None:
        for name in names:
            node = self.places.read_node(name)
            if node and node.alive:
                kill([node.pid])
                node.pid = node.started = 0
                self.places.write_node(node)


def take_down(places: Places, *, keep: bool = False) -> None:
    """Take a lab away, even one that was only begun. Raises NoSuchLabError, LabBusyError."""
    if not places.run.is_dir() and not places.strays() and not places.folder.exists():
        raise NoSuchLabError(places.name)
    with places.locked(make=True):
        kill([node.pid for node in places.nodes() if node.alive])
        kill(places.strays())
        outside.remove(places)
        if not keep:
            places.remove_folder()
        places.remove_run()


def _free(taken: Iterable[int]) -> Iterator[int]:
    """Numbers that are not taken, from 0."""
    used = set(taken)
    number = 0
    while True:
        if number not in used:
            yield number
        number += 1
