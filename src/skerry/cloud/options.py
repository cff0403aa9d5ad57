"""Which files each service of a cloud reads, in which order, and all that is wrong in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skerry.cloud.config.validate import Problem
from skerry.cloud.context import Context
from skerry.cloud.converge import roles
from skerry.cloud.roles.neutron import Neutron
from skerry.cloud.roles.nova import Nova
from skerry.cloud.roles.openstack import OpenStackRole
from skerry.cloud.work.validate import is_layer, role_problems
from skerry.common.errors import ConfigError

AGENT = "neutron-ovn-metadata-agent"


def openstack_roles(ctx: Context) -> list[OpenStackRole]:
    """The roles whose services read layers."""
    found = [role for role in roles(ctx) if isinstance(role, OpenStackRole)]
    return [role for role in found if any(is_layer(file.path) for file in role.every_file())]


def layers(ctx: Context) -> dict[str, list[Path]]:
    """The files of each service in the order in which they are read."""
    found = {}
    for role in openstack_roles(ctx):
        files = role.config_files()
        if isinstance(role, Nova):
            files = [files[0], *role.config_files(folder=role.with_database)]
        found[role.name] = files
    return found


def agent_layers(ctx: Context) -> list[Path]:
    """The files of neutron's metadata agent, which has a layer of its own in place of neutron's."""
    role = Neutron(ctx)
    return role.config_files(folder=role.agent)


def every_problem(ctx: Context) -> Iterator[Problem]:
    """What is wrong in all layers of the cloud; a file that cannot be parsed is one problem."""
    for role in openstack_roles(ctx):
        try:
            yield from role_problems(role.name, role.every_file())
        except ConfigError as error:
            path, _, line = str(error.args[0]).rpartition(":")
            yield Problem(path, int(line), "", None, str(error.args[1]))
