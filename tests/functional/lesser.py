"""The command ``skerry`` with a lesser cloud: database, broker and switch only, up within seconds.

Run in place of ``skerry``: roles, steps, supervisor, lock and verbs are the real ones.
"""

from __future__ import annotations

from skerry.cli.main import main
from skerry.cloud import converge, operations
from skerry.cloud.context import Context
from skerry.cloud.roles.base import Role
from skerry.cloud.roles.infrastructure import MariaDB, RabbitMQ
from skerry.cloud.roles.network import OVN, OpenVSwitch
from skerry.cloud.steps import Graph, Step
from skerry.cloud.work.database import Databases
from skerry.cloud.work.machine import Machine
from skerry.cloud.work.packages import Packages


def roles(ctx: Context) -> list[Role]:
    return [MariaDB(ctx), RabbitMQ(ctx), OpenVSwitch(ctx), OVN(ctx)]


def graph(ctx: Context) -> Graph:
    parts = roles(ctx)
    folders = {path: owner for role in parts for path, owner in role.folders().items()}
    ctx.cloud = ctx.cloud.model_copy(update={"first_server": False})
    steps: list[Step] = [
        Machine(ctx, folders),
        Packages(ctx, [name for role in parts for name in role.packages], ()),
        converge.SupervisorStep(ctx),
        Databases(ctx, {"keystone": ("keystone",)}, needs=("start:mariadb",)),
        *(step for role in parts for step in role.steps()),
    ]
    return Graph(steps)


if __name__ == "__main__":
    converge.roles = operations.roles = roles
    converge.graph = operations.graph = graph
    main()
