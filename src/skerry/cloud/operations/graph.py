"""The whole cloud as one graph of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from skerry.cloud.components.base.component import Role
from skerry.cloud.components.base.openstack import OpenStackRole
from skerry.cloud.components.glance import Glance
from skerry.cloud.components.haproxy.component import HAProxy
from skerry.cloud.components.haproxy.gateway import Link
from skerry.cloud.components.heat import Heat
from skerry.cloud.components.horizon import Horizon
from skerry.cloud.components.keystone import Keystone
from skerry.cloud.components.libvirt.component import Libvirt
from skerry.cloud.components.mariadb import MariaDB
from skerry.cloud.components.memcached import Memcached
from skerry.cloud.components.neutron import Neutron
from skerry.cloud.components.nova.component import Nova
from skerry.cloud.components.nova.disk_copies import Copies
from skerry.cloud.components.openvswitch.component import OpenVSwitch
from skerry.cloud.components.ovn.component import OVN
from skerry.cloud.components.placement import Placement
from skerry.cloud.components.rabbitmq import RabbitMQ
from skerry.cloud.components.swift import Swift
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Graph, Step
from skerry.cloud.hosts.join import Joined
from skerry.cloud.hosts.leave import Departed
from skerry.cloud.members import Members
from skerry.cloud.model import cloud_toml
from skerry.cloud.resources.compute_hosts import ComputeHostsAlive
from skerry.cloud.resources.first_server import FirstServer
from skerry.cloud.resources.flavors import Flavors
from skerry.cloud.resources.image import Image, TinyImage
from skerry.cloud.resources.keypair import Keypair
from skerry.cloud.resources.network import Network
from skerry.cloud.steps.accounts import Accounts
from skerry.cloud.steps.certificates import Certificates
from skerry.cloud.steps.credentials import Credentials
from skerry.cloud.steps.database import Databases
from skerry.cloud.steps.machine import Bytecode, LibvirtBinding, Machine
from skerry.cloud.steps.packages import Packages
from skerry.cloud.steps.services import Surplus
from skerry.cloud.steps.valid_options import ValidConfiguration
from skerry.cloud.supervise.service import Service

ALL_ROLES = get_args(cloud_toml.Role)
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
        ComputeHostsAlive(ctx),
        Flavors(ctx),
        TinyImage(ctx),
        Image(ctx),
        Network(ctx),
        Keypair(ctx),
    ]
    if ctx.cloud.first_server:
        steps.append(FirstServer(ctx))
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
