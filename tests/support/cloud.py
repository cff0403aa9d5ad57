"""A cloud under test as its user sees it, and servers that come and go with a test."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, ClassVar

import openstack
import psutil
import pytest

from tests.support import CHECKOUT
from tests.support.deadlines import at_most

UP, ACTIVE, SSH, GONE = 900, 180, 120, 60  # deadlines in seconds
LOGIN = 1.0  # seconds between two tries to log in: each is work for a guest without KVM, which may be booting

Within = Callable[..., Any]


@dataclass
class Cloud:
    """The cloud under test, as its user sees it. Addresses and ports are those of its machine's network."""

    host: Any  # a machine of the lab
    within: Within
    VERSIONS: ClassVar[dict[str, Any]] = {}  # of the APIs, where not what the client takes
    _connected: tuple[int, str] | None = field(default=None, init=False)
    _api: Any = field(default=None, init=False)
    killed: dict[str, int] = field(
        default_factory=dict
    )  # step after which 'up' was killed -> what it ended with

    @property
    def root(self) -> Path:
        return Path(self.host.folder) / "r"

    @property
    def argv(self) -> list[str]:
        return [str(CHECKOUT / "skerry"), "--root", str(self.root)]

    def run(self, *words: str, check: bool = True, timeout: float = 120) -> CompletedProcess[str]:
        """Run the command on the machine."""
        done: CompletedProcess[str] = self.host.run(
            [*self.argv, *words], check=check, timeout=at_most(timeout)
        )
        return done

    def up(self) -> str:
        return self.run("up", timeout=UP).stdout

    def killed_up(self, step: str) -> int:
        """Kill an 'up' once a step is done; returns what it ended with."""
        run = self.host.popen([*self.argv, "up"])
        assert run.process.stdout is not None
        seen = []
        for line in run.process.stdout:
            seen.append(line)
            if f"✓ {step}" in line:
                run.signal(signal.SIGKILL)
                break
        else:
            raise AssertionError(f"'up' ended before '{step}': {''.join(seen)[-3000:]}")
        run.process.stdout.close()
        return int(run.process.wait(at_most(30)))

    def status(self) -> dict[str, dict[str, Any]]:
        shown = json.loads(self.run("status", "--json", check=False).stdout)
        return {service["name"]: service for service in shown["services"]}

    def all_ready(self, deadline: float) -> None:
        """Every service is ready within the deadline."""
        lacks: dict[str, Any] = {}

        def ready() -> bool:
            lacks.clear()
            lacks.update({name: row["lack"] for name, row in self.status().items() if not row["ready"]})
            return not lacks

        try:
            self.within(deadline, "all services are ready", ready, 1.0)
        except AssertionError as late:
            raise AssertionError(f"{late}: {lacks}") from None

    @property
    def etc(self) -> Path:
        """The folder of its configuration, on its machine."""
        return self.root / "etc/skerry"

    @property
    def clouds_yaml(self) -> Path:
        """What 'up' wrote for the client."""
        return self.etc / "clouds.yaml"

    @property
    def api(self) -> Any:
        """A connection as the administrator, by way of clouds.yaml: the same as long as that and the machine's network are.

        What it asks for again and again must not cost the cloud a new token each time.
        """
        path = self.clouds_yaml
        now = (self.host.pid, path.read_text())
        if now != self._connected:
            config = openstack.config.OpenStackConfig(
                config_files=[str(path)], vendor_files=[], secure_files=[]
            )
            # A connection that was kept open, and that a killed service has closed, is opened again.
            self._api = openstack.connection.Connection(
                config=config.get_one(cloud="skerry", connect_retries=2), **self.VERSIONS
            )
            self._connected = now
        return self._api

    def server(self, name: str) -> Any:
        compute = self.api.compute
        return compute.get_server(compute.find_server(name, ignore_missing=False))

    def address(self, server: Any, kind: str = "fixed") -> str:
        """An address of a server: ``fixed`` or ``floating``."""
        entries = [entry for entries in server.addresses.values() for entry in entries]
        return str(next(entry["addr"] for entry in entries if entry["OS-EXT-IPS:type"] == kind))

    def wait_status(self, server: Any, status: str, deadline: float = ACTIVE) -> Any:
        compute = self.api.compute

        def reached() -> Any:
            now = compute.get_server(server.id)
            assert now.status != "ERROR" or status == "ERROR", f"{now.name}: {now.fault}"
            return now if now.status == status else None

        return self.within(deadline, f"server {server.name} is {status}", reached, 0.5)

    def floating_ip(self, server: Any) -> Any:
        """A floating address for a server that has none."""
        network = self.api.network
        port = next(iter(network.ports(device_id=server.id)))
        return network.create_ip(floating_network_id=network.find_network("public").id, port_id=port.id)

    def key(self) -> Path:
        """The private key that servers let in."""
        return self.root / "etc/skerry/id_ed25519"

    def try_ssh(self, address: str, command: str, timeout: float = 20) -> CompletedProcess[str]:
        options = (
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "BatchMode=yes",
            "ConnectTimeout=5",
        )
        flags = [word for option in options for word in ("-o", option)]
        key = str(self.key())
        argv = ["ssh", "-F", "none", "-q", "-i", key, *flags, f"skerry@{address}", command]
        try:
            return subprocess.run(
                argv,
                capture_output=True,
                text=True,
                timeout=at_most(timeout),
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return CompletedProcess(argv, 255, "", "ssh hangs")

    def ssh(self, address: str, command: str = "true", deadline: float = SSH) -> str:
        """What a command prints on a server; keeps trying to log in until the deadline."""

        def answer() -> CompletedProcess[str] | None:
            done = self.try_ssh(address, command)
            return None if done.returncode == 255 else done

        done: CompletedProcess[str] = self.within(deadline, f"SSH answers at {address}", answer, LOGIN)
        assert done.returncode == 0, f"'{command}' on {address}: {done.stderr}{done.stdout}"
        return done.stdout.strip()

    def named(self, address: str, name: str, deadline: float = SSH) -> None:
        """The server behind an address reports this name: it has its metadata by then."""

        def says() -> bool:
            return self.try_ssh(address, "hostname").stdout == f"{name}\n"

        self.within(deadline, f"server {name} answers at {address} under its name", says, LOGIN)

    def running(self) -> list[str]:
        """The command lines of what runs on the machine."""
        found = []
        for process in self.host.processes():
            with suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline())[:300])
        return found

    @property
    def first(self) -> str:
        """The floating address of the first server."""
        return self.address(self.server("first"), "floating")

    def guest_reaches(self, address: str, deadline: float = SSH) -> None:
        """The first server's ping to an address is answered within the deadline."""
        first = self.first
        self.within(
            deadline,
            f"{address} answers the first server's ping",
            lambda: self.try_ssh(first, f"ping -c 1 -W 2 {address}").returncode == 0,
            LOGIN,
        )

    @staticmethod
    def accepts(address: str, port: int) -> bool:
        """Whether a TCP connection opens within 2 s."""
        with suppress(OSError), socket.create_connection((address, port), timeout=2):
            return True
        return False

    def virsh(self, *words: str) -> str:
        socket = f"{self.root}/run/skerry/libvirt/libvirt-sock"
        uri = f"qemu+unix:///system?socket={socket}"
        return str(self.host.run(["virsh", "--connect", uri, "-q", *words]).stdout)

    def switch_ports(self) -> set[str]:
        database = f"--db=unix:{self.root}/run/skerry/ovs/db.sock"
        return set(self.host.run(["ovs-vsctl", database, "list-ports", "br-int"]).stdout.split())


class Servers:
    """Makes servers as tests need them and removes them with all that was made for them."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.undo: list[Callable[[], None]] = []

    def __call__(self, name: str, **more: Any) -> Any:
        """A server of the tiny image that is ACTIVE within its deadline."""
        server = self.begin(name, **more)
        return self.cloud.wait_status(server, "ACTIVE")

    def begin(self, name: str, **more: Any) -> Any:
        api = self.cloud.api
        wanted: dict[str, Any] = {
            "image_id": api.image.find_image("tiny").id,
            "flavor_id": api.compute.find_flavor("m1.nano").id,
            "networks": [{"uuid": api.network.find_network("private").id}],
            "key_name": "skerry",
            "security_groups": [{"name": "ssh-ping"}],
        }
        server = api.compute.create_server(name=name, **(wanted | more))
        self.undo.append(lambda: self.delete(server))
        return server

    def delete(self, server: Any) -> None:
        compute = self.cloud.api.compute
        compute.delete_server(server, ignore_missing=True)
        compute.wait_for_delete(server, wait=at_most(GONE))

    def remove_all(self) -> None:
        """Remove what was made, the last first."""
        while self.undo:
            self.undo.pop()()

    def floating_ip(self, server: Any) -> Any:
        floating = self.cloud.floating_ip(server)
        self.undo.append(lambda: self.cloud.api.network.delete_ip(floating, ignore_missing=True))
        return floating


def downloads() -> Path:
    """The guest image and other files that a cloud needs and cannot fetch; skips where there are none."""
    cache = Path(os.environ.get("SKERRY_TEST_CACHE", "/nonexistent"))
    if not (cache / "images/tiny/built.json").exists() or not list(cache.glob("novnc_*.deb")):
        pytest.skip("a simulated machine has no way to a mirror: './skerry test' fetches what a cloud needs")
    return cache
