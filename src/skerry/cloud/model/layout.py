"""Where a cloud keeps its things: one root folder holds one cloud."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from skerry.common.errors import NotFoundError


@dataclass(frozen=True)
class Layout:
    """The folders of one cloud. ``root`` is ``/`` for the machine's own cloud."""

    root: Path
    env: Path
    checkout: Path

    @classmethod
    def at(cls, root: Path | str = "/") -> Layout:
        """The layout under ``root``, with the environment and checkout of the running command."""
        here = Path(__file__).resolve().parents[4]
        return cls(
            root=Path(root).resolve(),
            env=Path(os.environ.get("SKERRY_ENV", sys.prefix)),
            checkout=Path(os.environ.get("SKERRY_CHECKOUT", here)),
        )

    @property
    def etc(self) -> Path:
        """What is generated for the services, and what the operator writes: cloud.toml, 50-site.conf."""
        return self.root / "etc/skerry"

    @property
    def state(self) -> Path:
        """What must survive a reboot: databases, images, servers' disks."""
        return self.root / "var/lib/skerry"

    @property
    def log(self) -> Path:
        return self.root / "var/log/skerry"

    @property
    def run(self) -> Path:
        """Sockets and process ids: gone after a reboot."""
        return self.root / "run/skerry"

    @property
    def cache(self) -> Path:
        """What can be made again: images that were built, downloads."""
        return self.root / "var/cache/skerry"

    @property
    def cloud_toml(self) -> Path:
        return self.etc / "cloud.toml"

    @property
    def joined(self) -> Path:
        """The name of this host, where another one has made it a part of its cloud."""
        return self.etc / "host"

    @property
    def host_name(self) -> Path:
        """The name under which the cloud knows the host that leads, whatever the machine is called later."""
        return self.state / "host-name"

    @property
    def hosts(self) -> Path:
        """Which hosts have joined."""
        return self.state / "hosts.json"

    @property
    def reserve(self) -> Path:
        """Room that is given up when the disk is full."""
        return self.state / "reserve"

    @property
    def forwarded_before(self) -> Path:
        """Whether the host forwarded IPv4 before there was a cloud ('0' or '1'); written when the cloud turns it on."""
        return self.state / "ip_forward.before"

    @property
    def upkeep_due(self) -> Path:
        """When the upkeep last began and when it is due, as two numbers."""
        return self.state / "upkeep.due"

    @property
    def upkeep_record(self) -> Path:
        """What the upkeep did when it last ran."""
        return self.state / "upkeep.json"

    @property
    def restoring(self) -> Path:
        """What 'restore' has unpacked, until 'up' has loaded it."""
        return self.state / "restoring"

    @property
    def northbound(self) -> Path:
        """OVN's northbound database."""
        return self.state / "ovn/ovnnb.db"

    @property
    def tls(self) -> Path:
        """The cloud's own certificates."""
        return self.etc / "tls"

    @property
    def switch(self) -> str:
        """Where Open vSwitch's database listens, as its clients name it."""
        return f"unix:{self.run}/ovs/db.sock"

    def api_socket(self, name: str) -> Path:
        """Where an API listens, by the name of its service, in a folder of its own."""
        return self.run / "api" / name / "socket"

    def cache_socket(self, theme: str) -> Path:
        """Where the cache of one user's services listens, in a folder of that user alone."""
        return self.run / "memcached" / theme / "socket"

    @property
    def ovn_socket(self) -> Path:
        """Where OVN's databases listen on the control host."""
        return self.run / "ovn/ovn.sock"

    @property
    def link(self) -> Path:
        """The folder of the sockets by which another host reaches the control host's."""
        return self.run / "link"

    @property
    def vsctl(self) -> list[str]:
        """The words before a command to Open vSwitch."""
        return ["ovs-vsctl", f"--db={self.switch}", "--timeout=20"]

    @property
    def tree(self) -> Path:
        """The cloud's own copy of Skerry, for what outlives a command."""
        return self.state / "tree"

    @property
    def clouds_yaml(self) -> Path:
        return self.etc / "clouds.yaml"

    @property
    def site_packages(self) -> Path:
        return self.env / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"

    @property
    def has_cloud(self) -> bool:
        """Whether there is a cloud, be it half-made: 'up' writes the first of these before it does anything else."""
        known = (
            self.state / "lock",
            self.cloud_toml,
            self.etc / "secrets.json",
            self.joined,
            self.clouds_yaml,
        )
        return any(path.exists() for path in known)

    def demand_cloud(self) -> None:
        """Raise NotFoundError when there is no cloud under the root folder."""
        if not self.has_cloud:
            where = "" if self.root == Path("/") else f" --root {self.root}"
            raise NotFoundError(
                f"There is no cloud under {self.root}.",
                remedy=f"'sudo ./skerry{where} up' brings one up; another root folder is named with --root FOLDER.",
            )

    def bin(self, program: str) -> str:
        """The path of a program of the locked environment."""
        return str(self.env / "bin" / program)

    def folders(self) -> tuple[Path, ...]:
        return (self.etc, self.state, self.log, self.run, self.cache)
