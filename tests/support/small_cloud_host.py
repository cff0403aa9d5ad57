"""A small cloud (database, broker and switch) on a simulated machine, as its user sees it."""

from __future__ import annotations

import json
import sys
from subprocess import CompletedProcess
from typing import Any

import psutil

from skerry.lab.hosts.namespaces import Program
from tests.support import CHECKOUT
from tests.support.deadlines import at_most
from tests.support.machines import SimulatedMachine, users_left

PROGRAM = CHECKOUT / "tests/support/small_cloud.py"


class SmallCloud:
    """The small cloud of one simulated machine."""

    def __init__(self, host: SimulatedMachine) -> None:
        self.host = host
        self.root = host.folder / "r"

    @property
    def argv(self) -> list[str]:
        return [sys.executable, str(PROGRAM), "--root", str(self.root)]

    def run(self, *words: str, check: bool = True, timeout: float = 120) -> CompletedProcess[str]:
        return self.host.run([*self.argv, *words], check=check, timeout=at_most(timeout))

    def start(self, *words: str) -> Program:
        return self.host.popen([*self.argv, *words])

    def up(self) -> list[str]:
        """Bring it up; returns the names of the steps that did something."""
        return list(json.loads(self.run("up", "--json").stdout)["changed"])

    def status(self) -> dict[str, dict[str, Any]]:
        shown = json.loads(self.run("status", "--json", check=False).stdout)
        return {service["name"]: service for service in shown["services"]}

    def lacks(self) -> dict[str, str]:
        return {name: service["lack"] for name, service in self.status().items() if not service["ready"]}

    def ready(self, name: str) -> int:
        """The process id (on the host) of a service that is ready, else 0."""
        service = self.status()[name]
        return int(service["pid"]) if service["ready"] else 0

    def kill(self, pid: int) -> None:
        self.host.run(["kill", "-9", str(pid)])

    def kill_supervisor(self) -> None:
        self.kill(int(self.host.run(["cat", f"{self.root}/run/skerry/supervisord.pid"]).stdout))

    def sql(self, text: str) -> str:
        socket = f"--socket={self.root}/run/skerry/mariadb/mysqld.sock"
        return self.host.run(["mariadb", "--no-defaults", socket, "-N", "-e", text]).stdout.strip()

    def set(self, text: str) -> None:
        (self.root / "etc/skerry/cloud.toml").write_text(text)


def gone(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def nothing_is_left(cloud: SmallCloud) -> None:
    assert [p.name() for p in cloud.host.processes() if not gone(p)] == []
    assert [path for path in cloud.root.rglob("*") if path.is_file() or path.name == "skerry"] == []
    links = {link["ifname"] for link in json.loads(cloud.host.run(["ip", "-j", "link"]).stdout)}
    assert links == {"lo", "eth0"}
    assert cloud.host.run(["nft", "list", "ruleset"]).stdout.strip() == ""
    mounted = [line.split()[1] for line in cloud.host.run(["cat", "/proc/mounts"]).stdout.splitlines()]
    assert [place for place in mounted if place.startswith(f"{cloud.root}/")] == []
    assert "skerry" not in cloud.host.run(["ls", "/run"]).stdout
    assert users_left(cloud.host) == []
