"""barbican: keys and other secrets of projects ('up --with barbican')."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from skerry.cloud.components.base.openstack import OpenStackComponent, Sections
from skerry.cloud.components.upkeep import rows
from skerry.cloud.config.option_source import COMMON, OptionSource
from skerry.cloud.engine.step import Step
from skerry.cloud.engine.upkeep import UpkeepTask
from skerry.cloud.model.catalogue import Endpoint
from skerry.cloud.model.ports import Port
from skerry.cloud.model.secrets import Secret
from skerry.cloud.model.users import KEYS
from skerry.cloud.steps.manage import manage
from skerry.cloud.supervise.service import Service


class Barbican(OpenStackComponent):
    name = "barbican"
    title = "keys (barbican)"
    user = KEYS
    options = OptionSource(("barbican.*", *COMMON), ("barbican",))
    feature = "barbican"
    databases = {"barbican": ("barbican",)}
    apis = (Port("barbican", 9311),)
    endpoints = (Endpoint("barbican", "key-manager", "barbican"),)
    account = True
    # What projects store is encrypted with it: with another one it could not be read any more.
    secrets = (Secret("barbican-kek", fixed=True),)
    tests = "barbican"

    def settings(self) -> Sections:
        key = hashlib.sha256(self.ctx.secrets["barbican-kek"].encode()).digest()
        return {
            "DEFAULT": {**self.logging(), "host_href": self.ctx.url("barbican")},
            "database": self.database(),
            "keystone_authtoken": self.token_check(),
            "secretstore": {
                "namespace": "barbican.secretstore.plugin",
                "enabled_secretstore_plugins": ["store_crypto"],
            },
            "crypto": {"namespace": "barbican.crypto.plugin", "enabled_crypto_plugins": ["simple_crypto"]},
            "simple_crypto_plugin": {"kek": base64.urlsafe_b64encode(key).decode()},
            "queue": {"enable": False},  # orders are carried out by the API itself
            "oslo_messaging_notifications": {"driver": "noop"},
        }

    @property
    def home(self) -> Path:
        """It takes no list of files, but reads the folder ``.barbican/barbican.conf.d`` of its home."""
        return self.etc / "home"

    def work(self) -> list[Step]:
        def create(report: object) -> None:
            link = self.home / ".barbican/barbican.conf.d"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(self.etc)
            home = {"HOME": str(self.home)}
            manage(self.ctx, "barbican.cmd.db_manage:main", "barbican-db-manage", (), [["upgrade"]], env=home)

        return [self.schema(create, "keys: database", 4)]

    def upkeep(self) -> list[UpkeepTask]:
        def purge(days: int) -> None:
            command = ["clean", "--min-days", str(days)]
            home = {"HOME": str(self.home)}
            manage(self.ctx, "barbican.cmd.db_manage:main", "barbican-db-manage", (), [command], env=home)

        return [rows.task(self.ctx, "barbican-deleted", "records of deleted secrets", ("barbican",), purge)]

    def services(self) -> list[Service]:
        return [
            self.api(
                "barbican",
                "barbican.wsgi.api:application",
                env={"HOME": str(self.home)},
                after=("create:barbican", "start:keystone"),
                path="/healthcheck",
                # The path of its paste file is compiled in.
                binds=((self.ctx.layout.env / "etc/barbican", Path("/etc/barbican")),),
            )
        ]
