"""What a cloud is: the typed form of cloud.toml. Every option has a default and a sentence about it."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    IPvAnyAddress,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from skerry.cloud.components import registry
from skerry.cloud.model import provider as providers
from skerry.cloud.model import values
from skerry.cloud.model.provider import Provider
from skerry.common import toml_model
from skerry.common.errors import did_you_mean
from skerry.common.toml_model import Table

POOL_PREFIX = 26  # the length of the networks that are taken from private.pool

Role = Literal["control", "network", "compute"]


def _known(feature: str) -> str:
    if feature not in registry.features():
        known = registry.features()
        raise ValueError(
            f"there is no feature '{feature}' (known: {', '.join(known)}).{did_you_mean(feature, known)}"
        )
    return feature


def _list_known(schema: dict[str, Any]) -> None:
    schema["enum"] = list(registry.features())


Feature = Annotated[str, AfterValidator(_known), Field(json_schema_extra=_list_known)]
Name = Annotated[str, AfterValidator(values.cloud_name)]
Network = Annotated[IPv4Network, BeforeValidator(values.network)]
Interface = Annotated[str, AfterValidator(values.interface)]


class Host(Table):
    """A machine of the cloud and what it does."""

    name: Annotated[str, AfterValidator(values.host_name)] = Field(
        default_factory=lambda: socket.gethostname().split(".")[0] or "localhost",
        description="the name under which the services of this host register",
    )
    address: IPvAnyAddress = Field(
        default=ipaddress.ip_address("127.0.0.1"), description="where other hosts reach it"
    )
    roles: tuple[Role, ...] = Field(
        default=("control", "network", "compute"), description="what the host does"
    )
    transport: Literal["local", "lab", "ssh"] = Field(
        default="local", description="how Skerry acts on it: here, in a lab of this machine, or over SSH"
    )
    target: str = Field(default="", description="lab: LAB/HOST; ssh: USER@ADDRESS or USER@ADDRESS:PORT")
    ssh_key: str = Field(default="", description="ssh: the private key's file; empty: those of ssh itself")
    tunnel: str = Field(
        default="", description="ADDRESS/LENGTH where tunnels between hosts end; empty: the host's address"
    )
    tunnel_interface: Interface = Field(
        default="", description="the interface for tunnels, given to the switch where it works in userspace"
    )
    external_interface: Interface = Field(
        default="", description="the interface that leads to the external network, given to the switch"
    )

    @model_validator(mode="after")
    def _whole(self) -> Host:
        if self.transport != "local" and not self.target:
            raise ValueError(f"host '{self.name}': transport = '{self.transport}' needs a target")
        if self.transport == "lab" and not re.fullmatch(r"[\w.-]+/[\w.-]+", self.target):
            raise ValueError(f"host '{self.name}': target = '{self.target}' is not LAB/HOST")
        if self.transport == "ssh" and not re.fullmatch(r"[\w.-]+@[\w.:\[\]-]+", self.target):
            raise ValueError(f"host '{self.name}': target = '{self.target}' is not USER@ADDRESS")
        ends = {"address": self.address}
        if self.tunnel:
            try:
                ends["tunnel"] = ipaddress.ip_interface(self.tunnel).ip
            except ValueError:
                raise ValueError(
                    f"host '{self.name}': tunnel = '{self.tunnel}' is not ADDRESS/LENGTH"
                ) from None
        for option, address in ends.items():
            if why := values.reachable(address):
                raise ValueError(f"host '{self.name}': {option} = '{address}' {why}; give the host's own")
        if self.tunnel_interface and not self.tunnel:
            raise ValueError(f"host '{self.name}': tunnel_interface needs tunnel = 'ADDRESS/LENGTH'")
        return self

    @property
    def tunnel_address(self) -> str:
        """Where tunnels end."""
        return str(ipaddress.ip_interface(self.tunnel).ip) if self.tunnel else str(self.address)


class External(Table):
    """The flat network between guests and the world."""

    cidr: Network = Field(
        default=IPv4Network("172.24.4.0/24"),
        description="the network; its first address is the host's, unless it has a gateway",
    )
    gateway: str = Field(
        default="", description="the router of a network that is there already; empty: the host routes"
    )
    pool: tuple[IPv4Address, ...] = Field(
        default=(), description="first and last address for routers and floating addresses; empty: all"
    )
    nat: bool = Field(
        default=True,
        description="whether guests reach what the host reaches, under its address; not with a gateway",
    )
    dns: tuple[IPvAnyAddress, ...] = Field(
        default=(), description="name servers for guests; empty: those of the host"
    )

    @property
    def end(self) -> IPv4Interface | None:
        """A host's own address on it, the first; None where a router is there already."""
        return None if self.gateway else IPv4Interface((self.cidr[1], self.cidr.prefixlen))

    @property
    def translates(self) -> bool:
        """Whether the host gives guests its own address on their way out."""
        return self.nat and not self.gateway

    @model_validator(mode="after")
    def _inside(self) -> External:
        values.gateway_and_pool("external", self.cidr, self.gateway, self.pool)
        return self

    @field_validator("dns")
    @classmethod
    def _for_guests(cls, servers: tuple[IPvAnyAddress, ...]) -> tuple[IPvAnyAddress, ...]:
        for server in servers:
            why = "is a loopback address: for a guest that is the guest" if server.is_loopback else ""
            if why := why or values.reachable(server) or "":
                raise ValueError(f"'{server}' {why}; leave it empty for the host's own, or name a server")
        return servers


class Private(Table):
    """The first project network (geneve), and where other projects' networks come from."""

    cidr: Network = Field(default=IPv4Network("10.20.0.0/24"), description="the network")
    pool: Network = Field(
        default=IPv4Network("10.64.0.0/16"),
        description="of which projects get networks: '--nic auto', '--use-default-subnet-pool'",
    )


class Sizes(Table):
    """How much of the machine the services take."""

    api_workers: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="processes of each API")
    api_threads: Annotated[int, Field(ge=2, le=64)] = Field(
        default=6, description="threads of each API process"
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="processes of conductor, scheduler and RPC servers"
    )
    database_cache_mb: Annotated[int, Field(ge=8)] = Field(default=32, description="InnoDB buffer pool, MiB")


class Images(Table):
    """How much of the disk images may take."""

    largest_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=20, description="the largest image that is taken, in percent of the disk"
    )
    project_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=40, description="all images of a project, in percent of the disk"
    )


class Upkeep(Table):
    """What is done each day so that the cloud lasts ('skerry upkeep')."""

    daily: bool = Field(default=True, description="whether it is done daily by itself")
    deleted_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        default=30, description="how long records of what was deleted are kept (servers, images, stacks)"
    )


class Cloud(Table):
    """A cloud."""

    name: Name = Field(default="skerry", description="its name in clouds.yaml")
    region: Name = Field(default="RegionOne", description="its region in the catalogue")
    listen: IPvAnyAddress = Field(
        default=ipaddress.ip_address("127.0.0.1"),
        description="where the APIs listen; only loopback until TLS is configured",
    )
    features: tuple[Feature, ...] = Field(
        default=(), description="components that not every cloud has ('up --with')"
    )
    hypervisor: Literal["auto", "kvm", "qemu"] = Field(
        default="auto",
        description="auto: KVM when a probe guest boots with it, else QEMU's own translation (TCG)",
    )
    supervisor: Literal["auto", "direct", "systemd"] = Field(
        default="auto", description="what keeps the services running"
    )
    first_server: bool = Field(default=True, description="whether 'up' makes a first server")
    host: tuple[Host, ...] = Field(default_factory=lambda: (Host(),), description="the machines")
    provider: tuple[Provider, ...] = Field(
        default=(), description="networks of the site that servers are attached to"
    )
    external: External = External()
    private: Private = Private()
    sizes: Sizes = Sizes()
    images: Images = Images()
    upkeep: Upkeep = Upkeep()

    @model_validator(mode="after")
    def _consistent(self) -> Cloud:
        if not self.listen.is_loopback:
            raise ValueError(
                f"listen = '{self.listen}' would open the APIs to the network without TLS; use a loopback address,"
                " such as '127.0.0.1'"
            )
        if self.listen.version != 4:
            raise ValueError(f"listen = '{self.listen}' is IPv6; use an IPv4 address, such as '127.0.0.1'")
        if self.external.cidr.overlaps(self.private.cidr):
            better = values.proposal(self.external.cidr)
            raise ValueError(
                f"external.cidr and private.cidr overlap ({self.external.cidr}, {self.private.cidr});"
                f" private.cidr = '{better}' does not"
            )
        if self.private.pool.prefixlen > POOL_PREFIX:
            raise ValueError(
                f"private.pool = '{self.private.pool}' is smaller than one network of it (/{POOL_PREFIX});"
                f" '{self.private.pool.supernet(new_prefix=20)}' has room for 64"
            )
        for name, other in (("external.cidr", self.external.cidr), ("private.cidr", self.private.cidr)):
            if self.private.pool.overlaps(other):
                better = values.proposal(self.external.cidr, self.private.cidr)
                raise ValueError(
                    f"private.pool and {name} overlap ({self.private.pool}, {other}); private.pool = '{better}' does not"
                )
        if self.external.gateway and not any(host.external_interface for host in self.host):
            raise ValueError(
                f"external.gateway = '{self.external.gateway}' is beyond an interface, and no host has one that leads"
                " there: external_interface = 'eth1' in its [[host]]"
            )
        ends = [end for host in self.host for end in (host.external_interface, host.tunnel_interface) if end]
        providers.check(self.provider, ends)
        names = [host.name for host in self.host]
        if len(set(names)) != len(names):
            raise ValueError("two hosts have the same name")
        control = [host for host in self.host if "control" in host.roles]
        if len(control) != 1:
            which = "no host has" if not control else f"{' and '.join(h.name for h in control)} have"
            raise ValueError(f"{which} the role 'control'; one host has it")
        leader = control[0]
        if leader.transport != "local":
            raise ValueError(
                f"host '{leader.name}' has the role 'control': 'skerry up' runs there, transport = 'local'"
            )
        addresses = [host.address for host in self.host]
        for host in self.host:
            if len(self.host) > 1 and (host.address.is_loopback or addresses.count(host.address) > 1):
                raise ValueError(f"host '{host.name}' needs an address of its own that other hosts reach")
            if host is not leader and host.transport == "local":
                raise ValueError(f"host '{host.name}' is not this machine: its transport is 'lab' or 'ssh'")
        return self

    @property
    def control_hosts(self) -> tuple[Host, ...]:
        """The hosts with the databases, the broker and the APIs."""
        return tuple(host for host in self.host if "control" in host.roles)

    @property
    def leader(self) -> Host:
        """The control host where 'skerry up' runs, which brings the other hosts up."""
        return next(host for host in self.control_hosts if host.transport == "local")

    def with_name_of_leader(self, kept: str | None) -> Cloud:
        """The same cloud, with the name that its leader was brought up with, where the file gives it none."""
        if kept is None or "name" in self.leader.model_fields_set:
            return self
        leader = self.leader.model_copy(update={"name": kept.strip()})
        return self.model_copy(
            update={"host": tuple(leader if host is self.leader else host for host in self.host)}
        )

    @property
    def moves(self) -> bool:
        """Whether hosts are set up for servers to move: there are several, or one of two is just leaving."""
        return len(self.host) > 1

    @property
    def computes(self) -> tuple[Host, ...]:
        """The hosts that run servers."""
        return tuple(host for host in self.host if "compute" in host.roles)

    @property
    def others(self) -> tuple[Host, ...]:
        """All hosts but the leader."""
        return tuple(host for host in self.host if host is not self.leader)


def load(path: Path) -> Cloud:
    """Read and check a cloud.toml; a file that is not there is a cloud of defaults.

    Raises ConfigError, which names file, option, and what is allowed.
    """
    return toml_model.load(path, Cloud) if os.path.lexists(path) else Cloud()


def documented_toml() -> str:
    """A cloud.toml in which every option is a comment with its default and its meaning."""
    lines = [
        "# This cloud. Every option has the default that is shown; 'skerry plan' shows what a change would do."
    ]
    for name, field in Cloud.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Table):
            lines += ["", f"# {annotation.__doc__}", f"#[{name}]"]
            lines += [_commented(key, option) for key, option in annotation.model_fields.items()]
        elif name not in ("host", "provider"):
            lines.append(_commented(name, field))
    lines += ["", "# A machine of the cloud; without any, this machine with all roles.", "#[[host]]"]
    lines += [_commented(key, option) for key, option in Host.model_fields.items()]
    lines += ["", f"# {Provider.__doc__} The first three values are examples.", "#[[provider]]"]
    lines += [_commented(key, option) for key, option in Provider.model_fields.items()]
    return "\n".join(lines) + "\n"


def _commented(name: str, field: FieldInfo) -> str:
    default = field.examples[0] if field.examples else field.get_default(call_default_factory=True)
    if isinstance(default, bool):
        shown = str(default).lower()
    elif isinstance(default, int):
        shown = str(default)
    elif isinstance(default, tuple):
        shown = "[" + ", ".join(f'"{item}"' for item in default) + "]"
    else:
        shown = f'"{default}"'
    return f"#{name} = {shown}".ljust(44) + f"# {field.description}"
