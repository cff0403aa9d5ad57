"""What a cloud holds, counted where it is: what is there after a suite of tests, and was not before, is left behind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from skerry.cloud.components.libvirt.component import Libvirt
from skerry.cloud.components.nova.compute import NovaCompute
from skerry.cloud.context import Context
from skerry.common.errors import NotReadyError
from skerry.common.wait import wait_for

Inventory = Mapping[str, Mapping[str, str]]  # by kind: names by id

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SETTLES = 120.0  # seconds of an idle machine in which services remove what nobody uses any more


def inventory(ctx: Context) -> Inventory:
    """All that users make, by the APIs, and what belongs to it below them: allocations, domains, files, logical ports.

    Domains and files are those of this host.
    """
    api = ctx.api
    network, identity = api.network, api.identity
    return {
        "server": _named(api.compute.servers(all_projects=True)),
        "flavor": _named(api.compute.flavors(is_public=None)),
        "image": _named(api.image.images(is_hidden=False)),
        "network": _named(network.networks()),
        "subnet": _named(network.subnets()),
        "port": _named(network.ports()),
        "router": _named(network.routers()),
        "floating IP": {item.id: item.floating_ip_address for item in network.ips()},
        "security group": _named(network.security_groups()),
        "project": _named(identity.projects()),
        "user": _named(identity.users()),
        "allocation": dict(_allocations(api)),
        "domain": dict(_domains(ctx)),
        "folder of a server": _files(ctx),
        "logical port": _logical_ports(ctx),
    }


def _named(items: Iterable[Any]) -> dict[str, str]:
    return {item.id: item.name for item in items}


def _allocations(api: Any) -> Iterable[tuple[str, str]]:
    for provider in api.placement.resource_providers():
        path = f"/resource_providers/{provider.id}/allocations"
        for consumer in api.placement.get(path).json()["allocations"]:
            yield consumer, f"at {provider.name}"


def _domains(ctx: Context) -> Iterable[tuple[str, str]]:
    if ctx.does("compute"):
        for row in Libvirt(ctx).virsh("list", "--all", "--uuid", "--name").splitlines():
            if row.strip():
                uuid, name = row.split(maxsplit=1)
                yield uuid, name


def _files(ctx: Context) -> dict[str, str]:
    """The folders of servers: those of nova's own are no ids."""
    folder = NovaCompute(ctx).instances
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return {name: name for name in names if UUID.match(name)}


def _logical_ports(ctx: Context) -> dict[str, str]:
    words = ["ovn-nbctl", f"--db=unix:{ctx.layout.ovn_socket}", "--timeout=20", "--bare", "--columns=name"]
    said = ctx.platform.run([*words, "list", "Logical_Switch_Port"]).stdout
    return {name: name for name in said.split()}


def new_in(before: Inventory, after: Inventory) -> list[str]:
    """What there is now and was not before, as 'KIND NAME (ID)'."""
    return [
        f"{kind} {name} ({key})"
        for kind, items in after.items()
        for key, name in sorted(items.items())
        if key not in before[kind]
    ]


def left_behind(ctx: Context, before: Inventory) -> list[str]:
    """The same of this moment, when all has had its time to go."""
    found: list[str] = []

    def still() -> str | None:
        found[:] = new_in(before, inventory(ctx))
        return ", ".join(found) or None

    with suppress(NotReadyError):
        wait_for("the cloud to hold what it held before", still, SETTLES, every=3)
    return found
