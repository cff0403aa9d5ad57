"""The command ``skerry`` with a lesser cloud: database, broker and switch only, up within seconds.

Run in place of ``skerry``: roles, steps, supervisor, lock and verbs are the real ones.
"""

from __future__ import annotations

from skerry.cli.main import main
from skerry.cloud.components.base.component import Role
from skerry.cloud.components.mariadb import MariaDB
from skerry.cloud.components.openvswitch.component import OpenVSwitch
from skerry.cloud.components.ovn.component import OVN
from skerry.cloud.components.rabbitmq import RabbitMQ
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Graph, Step
from skerry.cloud.operations import down, plan, up
from skerry.cloud.operations import graph as graph_module
from skerry.cloud.steps.database import Databases
from skerry.cloud.steps.machine import Machine
from skerry.cloud.steps.packages import Packages


def roles(ctx: Context) -> list[Role]:
    return [MariaDB(ctx), RabbitMQ(ctx), OpenVSwitch(ctx), OVN(ctx)]


def graph(ctx: Context) -> Graph:
    parts = roles(ctx)
    folders = {path: owner for role in parts for path, owner in role.folders().items()}
    ctx.cloud = ctx.cloud.model_copy(update={"first_server": False})
    steps: list[Step] = [
        Machine(ctx, folders),
        Packages(ctx, [name for role in parts for name in role.packages]),
        graph_module.SupervisorStep(ctx),
        Databases(ctx, {"keystone": ("keystone",)}, needs=("start:mariadb",)),
        *(step for role in parts for step in role.steps()),
    ]
    return Graph(steps)


if __name__ == "__main__":
    graph_module.roles = down.roles = roles
    graph_module.graph = up.graph = plan.graph = graph
    main()
