"""A cloud across three hosts of a lab: one for control and network, two that run servers, reached by a real SSH server.

Tests and benchmarks share it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tests.support import CHECKOUT
from tests.support.cloud import Cloud, Within
from tests.support.machines import forget_users

HOSTS = {"one": 11, "two": 12, "three": 13}
COMPUTES = ("two", "three")
TREE = "/var/lib/checkout"
KEY = "/etc/ssh/id_test"
SSHD = (
    "AuthorizedKeysFile=/etc/ssh/test_keys",
    "PermitRootLogin=prohibit-password",
    "UsePAM=no",
    "PidFile=none",
)
LAB = "".join(
    [
        *(f'[[switch]]\nname = "{name}"\n' for name in ("manage", "external", "tunnels")),
        *(
            f'[[host]]\nname = "{host}"\n'
            f'[[link]]\nends = ["{host}:eth0", "manage"]\naddresses = ["10.77.0.{number}/24"]\n'
            f'[[link]]\nends = ["{host}:eth1", "external"]\n[[link]]\nends = ["{host}:eth2", "tunnels"]\n'
            for host, number in HOSTS.items()
        ),
    ]
)


def cloud_toml(*hosts: str) -> str:
    text = ""
    for host in ("one", *hosts):
        number = HOSTS[host]
        roles = '["compute"]' if host in COMPUTES else '["control", "network"]'
        text += f'[[host]]\nname = "{host}"\naddress = "10.77.0.{number}"\nroles = {roles}\n'
        text += f'tunnel = "10.77.2.{number}/24"\ntunnel_interface = "eth2"\nexternal_interface = "eth1"\n'
        if host in COMPUTES:
            text += f'transport = "ssh"\ntarget = "root@10.77.0.{number}"\nssh_key = "{KEY}"\n'
    return text


class Spread(Cloud):
    """The cloud, as seen from its control host."""

    VERSIONS: ClassVar[dict[str, Any]] = {"compute_api_version": "2.90"}
    lab: Any
    keys: Path  # where this machine's own tools find what is in the control host's /etc

    @property
    def root(self) -> Path:
        return Path("/")

    @property
    def argv(self) -> list[str]:
        return [f"{TREE}/skerry"]

    def describe(self, *hosts: str) -> None:
        self.host.run(
            ["sh", "-c", f"mkdir -p /etc/skerry; cat >/etc/skerry/cloud.toml <<E\n{cloud_toml(*hosts)}E"]
        )

    @property
    def clouds_yaml(self) -> Path:
        path = self.keys / "clouds.yaml"
        path.write_text(self.host.run(["cat", "/etc/skerry/clouds.yaml"]).stdout)
        return path

    def key(self) -> Path:
        path = self.keys / "id"
        if not path.exists():
            path.touch(0o600)
            path.write_text(self.host.run(["cat", "/etc/skerry/id_ed25519"]).stdout)
        return path

    def is_on(self, server: Any, host: str) -> bool:
        return self.place(server) == host

    def place(self, server: Any) -> str:
        return str(self.api.compute.get_server(server.id).compute_host)

    def bring(self, server: Any, host: str) -> None:
        """Move a running server to this host, unless it is there."""
        if not self.is_on(server, host):
            self.api.compute.live_migrate_server(server, host=host, block_migration="auto")
            self.within(120, f"it runs on {host}", lambda: self.is_on(server, host))
            self.wait_status(server, "ACTIVE")
            # The host that it left may cut its cables only when it is done with it.
            running = {"server_id": server.id, "status": "running"}
            self.within(60, "nova has finished", lambda: not list(self.api.compute.migrations(**running)))

    def let_in(self, host: str) -> None:
        """An SSH server on the host that lets the control host in, and is known there."""
        here, number = self.lab.hosts[host], HOSTS[host]
        options = " ".join(f"-o {option}" for option in SSHD)
        public = self.host.run(["cat", f"{KEY}.pub"]).stdout.strip()
        script = "mkdir -p /run/sshd; f=/etc/ssh/ssh_host_ed25519_key\n"
        script += '[ -e $f ] || ssh-keygen -q -t ed25519 -N "" -f $f\n'
        script += (
            f"echo '{public}' >/etc/ssh/test_keys; /usr/sbin/sshd -h $f {options} >/dev/null 2>&1; cat $f.pub"
        )
        known = here.run(["sh", "-c", script]).stdout.strip()
        self.host.run(["sh", "-c", f"echo '10.77.0.{number} {known}' >>/etc/ssh/ssh_known_hosts"])


@dataclass(frozen=True)
class Pair:
    """Two running servers and their floating addresses."""

    walker: Any
    walker_at: str
    sitter: Any
    sitter_at: str


def lab_text(name: str) -> str:
    """The file of the lab in which it lives."""
    return f'name = "{name}"\n{LAB}'


def spread_over(lab: Any, cache: Path, keys: Path, within: Within) -> Spread:
    """Get the hosts of a lab ready, and describe a cloud across them; ``up`` is left to the caller.

    ``cache`` has the guest image and downloads of clouds, ``keys`` is a folder for what this machine's own tools need.
    """
    cloud = Spread(lab.hosts["one"], within)
    cloud.lab, cloud.keys = lab, keys
    # The hosts have a /tmp of their own, and the checkout may be there.
    tree = lab.hosts["one"].folder / TREE.removeprefix("/")
    shutil.copytree(CHECKOUT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CHECKOUT / "locks", tree / "locks")
    for name in ("skerry", "pyproject.toml", "LICENSE"):
        shutil.copy(CHECKOUT / name, tree / name)
    for host in lab.hosts.values():
        forget_users(host)
        host.run(["sh", "-c", f"mkdir -p /var/cache/skerry; cp -a {cache}/. /var/cache/skerry"])
    cloud.host.run(["sh", "-c", f'ssh-keygen -q -t ed25519 -N "" -f {KEY}'])
    for name in COMPUTES:
        cloud.let_in(name)
    cloud.describe(*COMPUTES)
    return cloud
