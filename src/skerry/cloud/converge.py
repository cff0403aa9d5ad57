"""The whole cloud as one graph of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from skerry.cloud import model, resources
from skerry.cloud.context import Context
from skerry.cloud.join import Joined
from skerry.cloud.leave import Departed
from skerry.cloud.members import Members
from skerry.cloud.roles.base import Role
from skerry.cloud.roles.copies import Copies
from skerry.cloud.roles.gateway import Link
from skerry.cloud.roles.glance import Glance
from skerry.cloud.roles.heat import Heat
from skerry.cloud.roles.horizon import Horizon
from skerry.cloud.roles.infrastructure import HAProxy, MariaDB, Memcached, RabbitMQ
from skerry.cloud.roles.keystone import Keystone
from skerry.cloud.roles.libvirt import Libvirt
from skerry.cloud.roles.network import OVN, OpenVSwitch
from skerry.cloud.roles.neutron import Neutron
from skerry.cloud.roles.nova import Nova
from skerry.cloud.roles.openstack import OpenStackRole
from skerry.cloud.roles.placement import Placement
from skerry.cloud.roles.swift import Swift
from skerry.cloud.service import Service
from skerry.cloud.steps import Change, Graph, Step
from skerry.cloud.work.accounts import Accounts
from skerry.cloud.work.certificates import Certificates
from skerry.cloud.work.credentials import Credentials
from skerry.cloud.work.database import Databases
from skerry.cloud.work.machine import Bytecode, LibvirtBinding, Machine
from skerry.cloud.work.packages import Packages
from skerry.cloud.work.services import Surplus
from skerry.cloud.work.validate import ValidConfiguration

ALL_ROLES = get_args(model.Role)
OPENSTACK: tuple[type[OpenStackRole], ...] = (Keystone, Glance, Placement, Nova, Neutron, Horizon)


def roles(ctx: Context) -> list[Role]:
    """The roles of this host, those first that others stand on."""
    if not ctx.does("control"):
        joined: list[Role] = [Link(ctx), OpenVSwitch(ctx), OVN(ctx)]
        return [*joined, *hypervisor(ctx), Nova(ctx), Neutron(ctx)] if ctx.does("compute") else joined
    openstack: list[OpenStackRole] = [role(ctx) for role in OPENSTACK]
    if "heat" in ctx.cloud.features:
        openstack.append(Heat(ctx))
    ports = {name: port for role in openstack for name, port in role.api_ports.items()}
    below = [
        MariaDB(ctx),
        RabbitMQ(ctx),
        Memcached(ctx),
        HAProxy(ctx, ports),
        OpenVSwitch(ctx),
        OVN(ctx),
        *hypervisor(ctx),
    ]
    objects = [Swift(ctx)] if "swift" in ctx.cloud.features else []
    return [*below, *openstack, *objects]


def hypervisor(ctx: Context) -> list[Role]:
    """What runs guests on this host, and what moves them between hosts."""
    if not ctx.does("compute"):
        return []
    return [Libvirt(ctx), Copies(ctx)] if ctx.cloud.moves else [Libvirt(ctx)]


def services(ctx: Context) -> list[Service]:
    """Every service of the cloud, in an order in which they can be started."""
    found = {service.name: service for role in roles(ctx) for service in role.services()}
    order = [step.name.removeprefix("start:") for step in graph(ctx).order if step.name.startswith("start:")]
    return [found[name] for name in order]


def graph(ctx: Context) -> Graph:
    """All steps of this host; on the control host from a bare machine to a first server that answers."""
    parts = roles(ctx)
    folders = {path: owner for role in parts for path, owner in role.folders().items()}
    steps: list[Step] = [
        Machine(ctx, folders),
        Packages(
            ctx,
            [name for role in parts for name in role.packages],
            [name for role in parts for name in role.backports],
        ),
        Bytecode(ctx),
        LibvirtBinding(ctx),
        SupervisorStep(ctx),
        Surplus(ctx, {service.name for role in parts for service in role.services()}),
        ValidConfiguration(
            ctx, {role.name: role.every_file for role in parts if isinstance(role, OpenStackRole)}
        ),
        *(step for role in parts for step in role.steps()),
    ]
    if ctx.does("control"):
        databases = {user: names for role in parts for user, names in role.databases.items()}
        steps += [Databases(ctx, databases, needs=("start:mariadb",)), *control(ctx)]
    if set(ctx.host.roles) != set(ALL_ROLES):
        # What another host has is there before: the control host brings the others up last.
        here = {step.name for step in steps}
        for step in steps:
            step.needs = tuple(need for need in step.needs if need in here)
    wanted = Graph(steps)
    for step in wanted.steps.values():
        step.cost = ctx.journal.took(step.name) or step.cost
    return wanted


def control(ctx: Context) -> list[Step]:
    """What is done once for the cloud."""
    steps: list[Step] = [
        Accounts(ctx),
        Credentials(ctx),
        resources.Alive(ctx),
        resources.Flavors(ctx),
        resources.TinyImage(ctx),
        resources.Image(ctx),
        resources.Network(ctx),
        resources.Keypair(ctx),
    ]
    if ctx.cloud.first_server:
        steps.append(resources.FirstServer(ctx))
    if ctx.cloud.others:
        steps += [Certificates(ctx), *(Joined(ctx, host) for host in ctx.cloud.others)]
    steps += [Departed(ctx, host) for host in Members(ctx).departing()]
    return steps


class SupervisorStep(Step):
    """What keeps the services running runs itself."""

    name = "supervisor"
    title = "supervisor of the services"
    needs = ("machine",)
    cost = 0.5

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def check(self) -> list[Change]:
        return (
            []
            if self.ctx.supervisor.running()
            else [Change(f"start the supervisor ({self.ctx.supervisor.name})")]
        )

    def apply(self, say: Callable[[str], None]) -> None:
        self.ctx.supervisor.begin()
