"""What every step and component works with: one cloud, seen from one of its hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from skerry.cloud.components import registry
from skerry.cloud.engine.journal import Journal
from skerry.cloud.model.cloud_toml import Cloud, Host, Role, load
from skerry.cloud.model.layout import Layout
from skerry.cloud.model.secrets import Secrets
from skerry.cloud.platform.base import Platform
from skerry.cloud.platform.choice import platform_of
from skerry.cloud.supervise import Supervisor, supervisor_for
from skerry.cloud.supervise.process_marks import listens
from skerry.common.errors import ConfigError, PreflightError


class CloudDownError(PreflightError):
    """The cloud under {} is down: {}."""


@dataclass
class Context:
    layout: Layout
    cloud: Cloud
    secrets: Secrets
    supervisor: Supervisor
    journal: Journal
    platform: Platform = field(default_factory=platform_of)

    @classmethod
    def at(cls, root: Path | str = "/") -> Context:
        """The cloud under ``root``. Raises ConfigError when its cloud.toml is wrong."""
        layout, platform = Layout.at(root), platform_of()
        cloud = load(layout.cloud_toml).with_name_of_leader(platform.read(layout.host_name))
        found = cls(
            layout=layout,
            cloud=cloud,
            secrets=Secrets(layout.etc / "secrets.json", registry.secrets()),
            supervisor=supervisor_for(layout, cloud.supervisor, has_systemd=platform.has_systemd),
            journal=Journal(layout.state / "journal.json"),
            platform=platform,
        )
        if not found.has_control_plane:
            names = [secret.name for secret in registry.secrets().values() if secret.on_hosts]
            found.secrets = Secrets(found.secrets.path, names)
        return found

    @classmethod
    def existing(cls, root: Path | str = "/") -> Context:
        """The same, of a cloud that is there. Raises NotFoundError when there is none, before anything is looked at."""
        Layout.at(root).demand_cloud()
        return cls.at(root)

    @cached_property
    def host(self) -> Host:
        """The host that this runs on: the one that joining it named, else the control host where 'up' is run."""
        named = self.platform.read(self.layout.joined)
        if named is None:
            return self.cloud.leader
        found = next((host for host in self.cloud.host if host.name == named.strip()), None)
        if found is None:
            raise ConfigError(
                self.layout.cloud_toml,
                f"there is no host '{named.strip()}', the name in {self.layout.joined}",
            )
        return found

    def does(self, role: Role) -> bool:
        """Whether this host has the role."""
        return role in self.host.roles

    @property
    def name_servers(self) -> list[str]:
        """The name servers for guests: those of cloud.toml, else the host's own that a guest can reach."""
        return [str(server) for server in self.cloud.external.dns] or self.platform.network.name_servers()

    @property
    def has_control_plane(self) -> bool:
        """Whether databases, broker and APIs run on this host."""
        return self.does("control")

    @property
    def leads(self) -> bool:
        """Whether this run does what is done once for the cloud, and brings the other hosts up."""
        return self.host == self.cloud.leader

    @property
    def listen(self) -> str:
        return str(self.cloud.listen)

    def port(self, name: str) -> int:
        """The number of a port, by the name under which its component declares it. Raises NotFoundError."""
        return registry.port(name)

    @property
    def southbound(self) -> str:
        """OVN's southbound database as its clients name it: the server's own socket, or the gateway's on other hosts."""
        here = self.has_control_plane
        return f"unix:{self.layout.ovn_socket if here else self.layout.link / 'ovn-southbound'}"

    def url(self, port: str, path: str = "") -> str:
        """Where an API answers, by the name of its port."""
        return f"http://{self.listen}:{self.port(port)}{path}"

    def demand_up(self) -> None:
        """Raise CloudDownError unless the cloud runs and its own front listens where its APIs answer.

        Two clouds of one machine have the same ports: what listens there may be another's.
        """
        where = "" if self.layout.root == Path("/") else f" --root {self.layout.root}"
        remedy = f"'sudo ./skerry{where} up' starts it; 'status' shows what runs."
        if not self.supervisor.running():
            raise CloudDownError(self.layout.root, "nothing of it runs", remedy=remedy)
        if self.has_control_plane:
            pid, port = self.supervisor.process("haproxy").pid, self.port("keystone")
            if not pid:
                raise CloudDownError(self.layout.root, "its front (haproxy) does not run", remedy=remedy)
            if not listens(pid, port):
                raise CloudDownError(
                    self.layout.root, f"its front (haproxy) does not listen on port {port}", remedy=remedy
                )

    def forget_api(self) -> None:
        """The next use of ``api`` logs in again: the catalogue has changed, or the password."""
        self.__dict__.pop("api", None)

    @cached_property
    def api(self) -> Any:
        """An openstacksdk connection as the cloud's administrator. Raises CloudDownError."""
        self.demand_up()
        import openstack

        return openstack.connection.Connection(
            auth={
                "auth_url": self.url("keystone", "/v3"),
                "username": "admin",
                "password": self.secrets["admin"],
                "project_name": "admin",
                "user_domain_id": "default",
                "project_domain_id": "default",
            },
            region_name=self.cloud.region,
            interface="public",
            app_name="skerry",
        )
