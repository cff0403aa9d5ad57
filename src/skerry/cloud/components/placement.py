"""placement: inventories of resources."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components.base.openstack import OpenStackComponent, Sections
from skerry.cloud.config.option_source import COMMON, OptionSource
from skerry.cloud.engine.step import Step
from skerry.cloud.model.catalogue import Endpoint
from skerry.cloud.model.ports import Port
from skerry.cloud.model.users import SERVERS
from skerry.cloud.steps.manage import manage
from skerry.cloud.supervise.service import Service


class Placement(OpenStackComponent):
    name = "placement"
    title = "resources (placement)"
    user = SERVERS
    options = OptionSource(("placement.conf", *COMMON), ("placement",), distribution="openstack-placement")
    databases = {"placement": ("placement",)}
    apis = (Port("placement", 8778, shared=True),)
    endpoints = (Endpoint("placement", "placement", "placement"),)
    account = True

    def settings(self) -> Sections:
        return {
            "DEFAULT": self.logging(),
            "placement_database": self.database(),
            "keystone_authtoken": self.token_check(),
        }

    @property
    def home(self) -> Path:
        return self.etc / "home"

    def work(self) -> list[Step]:
        def create(report: object) -> None:
            options = self.config_arguments()
            manage(self.ctx, "placement.cmd.manage:main", "placement-manage", options, [["db", "sync"]])
            # The API takes neither arguments nor a list of files, but reads this folder of its home.
            link = self.home / ".placement/placement.conf.d"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(self.etc)

        return [self.schema(create, "resources: database", 3)]

    def services(self) -> list[Service]:
        return [
            self.api(
                "placement",
                "placement.wsgi.api:application",
                env={"HOME": str(self.home)},
                after=("create:placement", "start:keystone"),
                cost=2.5,
            )
        ]
