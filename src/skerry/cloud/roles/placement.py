"""placement: inventories of resources."""

from __future__ import annotations

from skerry.cloud import ports
from skerry.cloud.roles.openstack import OpenStackRole, Sections
from skerry.cloud.service import Service
from skerry.cloud.steps import Step
from skerry.cloud.work.manage import manage
from skerry.cloud.work.once import Once


class Placement(OpenStackRole):
    name = "placement"
    title = "resources (placement)"
    databases = {"placement": ("placement",)}
    api_ports = {"placement": ports.PLACEMENT}

    def settings(self) -> Sections:
        return {
            "DEFAULT": self.logging(),
            "placement_database": self.database(),
            "keystone_authtoken": self.token_check(),
        }

    def work(self) -> list[Step]:
        def create(say: object) -> None:
            options = self.config_arguments()
            manage(self.ctx, "placement.cmd.manage:main", "placement-manage", options, [["db", "sync"]])

        of = [self.ctx.layout.env.name]
        needs = ("databases", "configure:placement", "bytecode")
        return [
            Once(self.ctx, "create:placement", "resources: database", create, of=of, needs=needs, cost=3, heavy=True)
        ]

    def services(self) -> list[Service]:
        return [
            self.api(
                "placement",
                "placement.wsgi.api:application",
                env={},
                arguments=" ".join(self.config_arguments()),
                after=("create:placement", "start:keystone"),
                cost=2.5,
            )
        ]
