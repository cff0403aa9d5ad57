"""The whole cloud as one graph of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from skerry.cloud.components import registry
from skerry.cloud.components.base.openstack import OpenStackComponent
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
from skerry.cloud.resources.provider_networks import ProviderNetworks
from skerry.cloud.steps.access.loopback import LoopbackRules
from skerry.cloud.steps.access.system_users import SystemUsers
from skerry.cloud.steps.accounts import Accounts
from skerry.cloud.steps.certificates import Certificates
from skerry.cloud.steps.credentials import Credentials
from skerry.cloud.steps.database import Databases
from skerry.cloud.steps.machine import Bytecode, LibvirtBinding, MachineSetup
from skerry.cloud.steps.own_tree import OwnTree
from skerry.cloud.steps.packages import Packages
from skerry.cloud.steps.reserve import Reserve
from skerry.cloud.steps.restored import RestoredRecords, RestoredState
from skerry.cloud.steps.services import Surplus
from skerry.cloud.steps.valid_options import ValidConfiguration
from skerry.cloud.supervise.service import Service

ALL_ROLES = get_args(cloud_toml.Role)


def services(ctx: Context) -> list[Service]:
    """Every service of this host, in an order in which they can be started."""
    found = {service.name: service for part in registry.present(ctx) for service in part.services()}
    order = [step.name.removeprefix("start:") for step in graph(ctx).order if step.name.startswith("start:")]
    return [found[name] for name in order]


def graph(ctx: Context) -> Graph:
    """All steps of this host; on the one that leads from a bare machine to a first server that answers."""
    parts = registry.present(ctx)
    openstack = [part for part in parts if isinstance(part, OpenStackComponent)]
    steps: list[Step] = [
        SystemUsers(ctx, registry.users(ctx)),
        MachineSetup(ctx, [folder for part in parts for folder in part.folders()]),
        OwnTree(ctx),
        Reserve(ctx),
        Packages(
            ctx,
            [name for part in parts for name in part.packages],
        ),
        LoopbackRules(ctx),
        Bytecode(ctx),
        LibvirtBinding(ctx),
        SupervisorStep(ctx),
        Surplus(ctx, {service.name for part in parts for service in part.services()}),
        ValidConfiguration(
            ctx,
            {part.name: part.every_file for part in openstack},
            {part.name: part.whole for part in openstack},
        ),
        *(step for part in parts for step in part.steps()),
    ]
    if ctx.has_control_plane:
        databases = {user: names for part in parts for user, names in part.databases.items()}
        places = {
            path: owner
            for part in parts
            for kept in (part.irreplaceable(), part.bulk())
            for path, owner in kept.items()
        }
        steps += [
            Databases(ctx, databases, needs=("start:mariadb",)),
            RestoredState(ctx, places),
            RestoredRecords(ctx),
        ]
    if ctx.leads:
        steps += once_for_the_cloud(ctx)
    if set(ctx.host.roles) != set(ALL_ROLES):
        # What another host has is there before: the one that leads brings the others up last.
        here = {step.name for step in steps}
        for step in steps:
            step.needs = tuple(need for need in step.needs if need in here)
    wanted = Graph(steps)
    for step in wanted.steps.values():
        step.cost = ctx.journal.took(step.name) or step.cost
    return wanted


def once_for_the_cloud(ctx: Context) -> list[Step]:
    """What the host that leads does for all."""
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
    if ctx.cloud.provider:
        steps.append(ProviderNetworks(ctx))
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
    needs = ("machine", "own-tree")
    cost = 0.5

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def check(self) -> list[Change]:
        return (
            []
            if self.ctx.supervisor.whole()
            else [Change(f"start the supervisor ({self.ctx.supervisor.name})")]
        )

    def apply(self, report: Callable[[str], None]) -> None:
        self.ctx.supervisor.begin()
