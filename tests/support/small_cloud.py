"""The command ``skerry`` with a small cloud: database, broker and switch only, up within seconds.

Run in place of ``skerry``: components, steps, supervisor, lock and verbs are the real ones.
"""

from __future__ import annotations

from skerry.cli.main import main
from skerry.cloud.components import registry
from skerry.cloud.components.base.component import Component
from skerry.cloud.components.mariadb import MariaDB
from skerry.cloud.components.openvswitch.component import OpenVSwitch
from skerry.cloud.components.ovn.component import OVN
from skerry.cloud.components.rabbitmq import RabbitMQ
from skerry.cloud.components.upkeep.component import DailyUpkeep
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Graph, Step
from skerry.cloud.operations import graph as graphs
from skerry.cloud.operations import plan, up
from skerry.cloud.steps.access.loopback import LoopbackRules
from skerry.cloud.steps.access.system_users import SystemUsers
from skerry.cloud.steps.database import Databases
from skerry.cloud.steps.machine import MachineSetup
from skerry.cloud.steps.own_tree import OwnTree
from skerry.cloud.steps.packages import Packages
from skerry.cloud.steps.reserve import Reserve
from skerry.cloud.steps.restored import RestoredState


def present(ctx: Context) -> list[Component]:
    return [MariaDB(ctx), RabbitMQ(ctx), OpenVSwitch(ctx), OVN(ctx), DailyUpkeep(ctx)]


def graph(ctx: Context) -> Graph:
    parts = present(ctx)
    ctx.cloud = ctx.cloud.model_copy(update={"first_server": False})
    steps: list[Step] = [
        SystemUsers(ctx, registry.users(ctx)),
        MachineSetup(ctx, [folder for part in parts for folder in part.folders()]),
        OwnTree(ctx),
        Reserve(ctx),
        RestoredState(ctx, {}),
        Packages(ctx, [name for part in parts for name in part.packages]),
        LoopbackRules(ctx),
        graphs.SupervisorStep(ctx),
        Databases(ctx, {"keystone": ("keystone",)}, needs=("start:mariadb",)),
        *(step for part in parts for step in part.steps()),
    ]
    return Graph(steps)


if __name__ == "__main__":
    registry.present = present
    for module in (graphs, up, plan):
        vars(module)["graph"] = graph
    main()
