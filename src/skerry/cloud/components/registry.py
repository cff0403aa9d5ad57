"""All components of a cloud. A new one is a file in this folder and a line in ``COMPONENTS``.

Whatever needs a list of components, features, ports, secrets, accounts or endpoints reads it here. This module
imports no component before it is asked, so that every other module may import it.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from skerry.cloud.model.users import ROOT
from skerry.common.errors import NotFoundError

if TYPE_CHECKING:
    from skerry.cloud.components.base.component import Component
    from skerry.cloud.context import Context
    from skerry.cloud.model.ports import Port
    from skerry.cloud.model.secrets import Secret

# MODULE:CLASS, those first that others depend on.
COMPONENTS: tuple[str, ...] = (
    "mariadb:MariaDB",
    "rabbitmq:RabbitMQ",
    "memcached:Memcached",
    "haproxy.component:HAProxy",
    "haproxy.gateway:GatewayLink",
    "openvswitch.component:OpenVSwitch",
    "ovn.component:OVN",
    "libvirt.component:Libvirt",
    "nova.disk_copies:DiskCopies",
    "keystone:Keystone",
    "glance:Glance",
    "placement:Placement",
    "nova.component:Nova",
    "nova.compute:NovaCompute",
    "neutron:Neutron",
    "horizon:Horizon",
    "heat:Heat",
    "haproxy.signals:HeatSignals",
    "swift:Swift",
    "barbican:Barbican",
    "upkeep.component:DailyUpkeep",
)


@cache
def components() -> tuple[type[Component], ...]:
    """The classes of all components, those first that others depend on."""
    found = []
    for line in COMPONENTS:
        module, name = line.split(":")
        found.append(getattr(import_module(f"skerry.cloud.components.{module}"), name))
    return tuple(found)


def present(ctx: Context) -> list[Component]:
    """The components that this host runs, those first that others depend on."""
    return [component(ctx) for component in components() if component.runs_on(ctx)]


def in_cloud(ctx: Context) -> list[type[Component]]:
    """The components that the cloud has, on whichever host they run."""
    return [component for component in components() if component.feature in ("", *ctx.cloud.features)]


def users(ctx: Context) -> list[str]:
    """The system users of this host's components."""
    names = (name for component in present(ctx) for name in component.users())
    return [name for name in dict.fromkeys(names) if name != ROOT]


@cache
def features() -> tuple[str, ...]:
    """What ``features`` of cloud.toml can have: components that not every cloud has."""
    return tuple(dict.fromkeys(component.feature for component in components() if component.feature))


@cache
def ports() -> dict[str, Port]:
    """All ports, by name."""
    every = (port for component in components() for port in (*component.apis, *component.ports))
    return {port.name: port for port in every if port.number}


@cache
def shared_ports() -> dict[str, Port]:
    """What hosts without the control plane reach through the gateway, by name: ports, and a socket."""
    every = (port for component in components() for port in (*component.apis, *component.ports))
    return {port.name: port for port in every if port.shared}


def port(name: str) -> int:
    """The number of a port. Raises NotFoundError for a name that no component declares."""
    if name not in ports():
        raise NotFoundError(f"No component has a port '{name}'; the names are: {', '.join(ports())}.")
    return ports()[name].number


@cache
def secrets() -> dict[str, Secret]:
    """All secrets, by name, whether the cloud has their component or not."""
    return {secret.name: secret for component in components() for secret in component.all_secrets()}
