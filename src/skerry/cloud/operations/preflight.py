"""What a machine must be before anything is done to it. Each check is a class with a message and a remedy."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from ipaddress import ip_interface
from pathlib import Path

import psutil

from skerry.cloud.components import registry
from skerry.cloud.components.nova.reserved import CONTROL_MIB, RPC_SERVICES, WORKER_MIB
from skerry.cloud.components.openvswitch.external_network import ExternalNetwork
from skerry.cloud.context import Context
from skerry.cloud.model import values
from skerry.cloud.model.users import FORMER
from skerry.cloud.platform.choice import PLATFORMS
from skerry.cloud.steps.access.system_users import is_of_one_user
from skerry.cloud.supervise.process_marks import cloud_of, service_of
from skerry.common.errors import PreflightError

OWN_LINKS = (ExternalNetwork.INSIDE, ExternalNetwork.BRIDGE, "br-int", "ovs-netdev")
MEMORY_GIB, DISK_GIB = 6.5, 8.0  # "8 GB" machines show a good deal less
AGAIN_GIB = 0.1  # for a cloud that was up before


class PreflightCheck(ABC):
    """One requirement. ``problem`` returns None, or a sentence that names what is wrong."""

    remedy: str

    @abstractmethod
    def problem(self, ctx: Context) -> str | None: ...


class IsRoot(PreflightCheck):
    remedy = "Run it with sudo."

    def problem(self, ctx: Context) -> str | None:
        return (
            None
            if os.geteuid() == 0
            else "'skerry up' must be root: it installs packages and makes networks."
        )


class SupportedSystem(PreflightCheck):
    remedy = "Use a machine with one of these (a virtual machine is enough)."

    def problem(self, ctx: Context) -> str | None:
        if ctx.platform.supported:
            return None
        own = ctx.platform.release.get("PRETTY_NAME", "unknown")
        return f"This system is {own}; Skerry supports {', '.join(kind.title for kind in PLATFORMS)}."


class EnoughMemory(PreflightCheck):
    remedy = "Give the machine 8 GB of memory."

    def problem(self, ctx: Context) -> str | None:
        have = psutil.virtual_memory().total / 2**30
        if have >= MEMORY_GIB:
            return None
        return f"This machine has {have:.1f} GiB of memory; a cloud with a server needs {MEMORY_GIB}."


class EnoughDisk(PreflightCheck):
    remedy = "Free some space there, or name a roomier folder with --root."

    def problem(self, ctx: Context) -> str | None:
        place = ctx.layout.state
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free / 2**30
        needed = DISK_GIB if not (ctx.layout.state / "journal.json").exists() else 1.0
        if ctx.layout.clouds_yaml.exists():
            needed = AGAIN_GIB  # what fills the disk can only be deleted with a cloud that is up
        return None if free >= needed else f"{place} has {free:.2f} GiB free; {needed:.1f} are needed."


class PortsFree(PreflightCheck):
    """Every port that the cloud listens on is free, or has the cloud's own service on it."""

    remedy = "Stop that program, or let Skerry run elsewhere."

    def problem(self, ctx: Context) -> str | None:
        found = self._look(ctx)
        while found and (again := self._look(ctx)) != found:
            # A service of the cloud began to listen, or ended, while its process was looked for.
            found = again
        return found

    def _look(self, ctx: Context) -> str | None:
        own = {process.pid for process in ctx.supervisor.processes().values() if process.pid}
        names = {port.number: port.name for port in registry.ports().values() if not port.last}
        for connection in sorted(psutil.net_connections("tcp"), key=lambda each: each.laddr.port):
            port = connection.laddr.port
            if connection.status != psutil.CONN_LISTEN or port not in names or connection.pid in own:
                continue
            if connection.laddr.ip not in ("0.0.0.0", "::", str(ctx.cloud.listen), "127.0.0.1", "::1"):
                continue
            if connection.pid and service_of(connection.pid, ctx.layout):
                continue
            if connection.pid and (root := cloud_of(connection.pid)):
                down = f"'sudo ./skerry{'' if root == Path('/') else f' --root {root}'} down' stops it."
                return f"Port {port} ({names[port]}) is taken by the cloud under {root}: {down}"
            who = _describe(connection.pid)
            return f"Port {port} ({names[port]}) is taken by {who}."
        return None


class ExternalNetworkFree(PreflightCheck):
    """No other interface of the machine has addresses of the external network: the host would not find them any more."""

    remedy = "Change external.cidr in cloud.toml."

    def problem(self, ctx: Context) -> str | None:
        if ctx.cloud.external.gateway:
            return None  # it is one of the machine's own, maybe
        wanted = ctx.cloud.external.cidr
        own = (*OWN_LINKS, ctx.host.external_interface)
        taken = {
            name: network
            for name, networks in networks_of_machine().items()
            for network in networks
            if not name.startswith("tap") and name not in own
        }
        for name, network in taken.items():
            if network.overlaps(wanted):
                free = values.proposal(ctx.cloud.private.cidr, *taken.values())
                return (
                    f"external.cidr = '{wanted}' overlaps {network}, which this machine has on {name};"
                    f" '{free}' is free here."
                )
        return None


class InterfacesThere(PreflightCheck):
    """Interfaces that cloud.toml gives to the switch are there, and the machine itself does not need them."""

    remedy = "Name another in cloud.toml; 'ip address' shows them."

    def problem(self, ctx: Context) -> str | None:
        wanted = {provider.interface: f"provider '{provider.name}'" for provider in ctx.cloud.provider}
        if ctx.host.external_interface:
            wanted[ctx.host.external_interface] = f"external_interface of host {ctx.host.name}"
        for interface, what in wanted.items():
            if not ctx.platform.network.has_interface(interface):
                return f"{what}: this machine has no interface '{interface}'."
            addresses = map(ip_interface, ctx.platform.network.addresses(interface))
            own = next((address for address in addresses if not address.is_link_local), None)
            if own:
                return (
                    f"{what}: '{interface}' has the address {own}, which would no longer answer: the switch"
                    " takes an interface whole."
                )
        return None


class SizesFit(PreflightCheck):
    """What [sizes] of cloud.toml asks for is there."""

    remedy = "Change [sizes] in cloud.toml."

    def problem(self, ctx: Context) -> str | None:
        have = psutil.virtual_memory().total / 2**20
        sizes = ctx.cloud.sizes
        apis = sum(len(part.apis) for part in registry.in_cloud(ctx)) if ctx.has_control_plane else 1
        fit = {
            "database_cache_mb": int(have / 4),
            "api_workers": max(1, int((have - CONTROL_MIB) / WORKER_MIB / apis)),
            "workers": max(1, int((have - CONTROL_MIB) / WORKER_MIB / RPC_SERVICES)),
        }
        for name, most in fit.items():
            if getattr(sizes, name) > most:
                return (
                    f"sizes.{name} = {getattr(sizes, name)} is more than this machine's {have / 1024:.1f} GiB of"
                    f" memory are good for; at most {most}."
                )
        return None


def networks_of_machine() -> dict[str, list[ipaddress.IPv4Network]]:
    """The IPv4 networks of each interface, without loopback's."""
    found: dict[str, list[ipaddress.IPv4Network]] = {}
    for name, addresses in psutil.net_if_addrs().items():
        for address in addresses:
            if address.family == socket.AF_INET and not address.address.startswith("127."):
                network = ipaddress.IPv4Network(f"{address.address}/{address.netmask or 32}", strict=False)
                found.setdefault(name, []).append(network)
    return found


class UsersApart(PreflightCheck):
    """What was brought up when all services ran as one user is stopped before its files get their own users."""

    remedy = "Run 'skerry down', then this again: servers are shut down, and started again."

    def problem(self, ctx: Context) -> str | None:
        if not is_of_one_user(ctx) or not ctx.supervisor.running():
            return None
        return f"The services of this cloud run as one user ({FORMER}), and get users of their own with this version."


class HostNameKnown(PreflightCheck):
    remedy = "Give the machine a host name (hostname NAME)."

    def problem(self, ctx: Context) -> str | None:
        return None if socket.gethostname() else "This machine has no host name."


class SameHost(PreflightCheck):
    """The host has the name that it was brought up with: another name is another host for nova, neutron and OVN."""

    remedy = "Give it that name in cloud.toml ([[host]], name); the machine's own name does not matter."

    def problem(self, ctx: Context) -> str | None:
        kept, name = ctx.platform.read(ctx.layout.host_name), ctx.cloud.leader.name
        if kept is None or kept.strip() == name:
            return None
        return f"cloud.toml calls the host '{name}', and this cloud knows it as '{kept.strip()}'."


class OwnAddress(PreflightCheck):
    """The host's address, at which other hosts reach it, is one of this machine's."""

    remedy = (
        "Give the machine that address again, or write the one that it has into cloud.toml ([[host]], address):"
        " 'skerry plan' shows what 'skerry up' changes for it."
    )

    def problem(self, ctx: Context) -> str | None:
        address = str(ctx.host.address)
        have = {row.address for rows in psutil.net_if_addrs().values() for row in rows}
        if ctx.host.address.is_loopback or address in have:
            return None
        return f"The address {address} of host {ctx.host.name} is on no interface of this machine."


IDENTITY: tuple[PreflightCheck, ...] = (SameHost(), OwnAddress())
CHECKS: tuple[PreflightCheck, ...] = (
    IsRoot(),
    SupportedSystem(),
    EnoughMemory(),
    EnoughDisk(),
    UsersApart(),
    PortsFree(),
    ExternalNetworkFree(),
    InterfacesThere(),
    SizesFit(),
    HostNameKnown(),
    *IDENTITY,
)


def preflight(ctx: Context, checks: Sequence[PreflightCheck] = CHECKS) -> None:
    """Raises PreflightError for the first requirement that is not met."""
    for check in checks:
        problem = check.problem(ctx)
        if problem:
            raise PreflightError(problem, remedy=check.remedy)


def _describe(pid: int | None) -> str:
    if not pid:
        return "another program"
    try:
        process = psutil.Process(pid)
        return f"{process.name()} (process {pid}, user {process.username()})"
    except psutil.NoSuchProcess:
        return f"process {pid}"
