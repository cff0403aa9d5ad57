"""keystone: identity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from skerry.cloud.components.base.openstack import OpenStackComponent, Sections
from skerry.cloud.components.upkeep import keys, rows
from skerry.cloud.config.option_source import COMMON, OptionSource
from skerry.cloud.engine.step import Step
from skerry.cloud.engine.upkeep import UpkeepTask
from skerry.cloud.model.ports import Port
from skerry.cloud.model.secrets import Secret
from skerry.cloud.model.users import GROUP, IDENTITY
from skerry.cloud.steps.manage import manage
from skerry.cloud.supervise.service import Service


class Keystone(OpenStackComponent):
    name = "keystone"
    title = "identity (keystone)"
    user = IDENTITY
    options = OptionSource(("keystone", *COMMON), ("keystone",))
    databases = {"keystone": ("keystone",)}
    apis = (Port("keystone", 5000, shared=True),)
    secrets = (Secret("admin"),)
    panel = "/identity/"

    def settings(self) -> Sections:
        return {
            "DEFAULT": self.logging(),
            "database": self.database(),
            "cache": self.cache(),
            "token": {"provider": "fernet"},
            "fernet_tokens": {"key_repository": self.state / "fernet-keys"},
            "credential": {"key_repository": self.state / "credential-keys"},
            "fernet_receipts": {"key_repository": self.state / "fernet-keys"},
            "oslo_messaging_notifications": {"driver": "noop"},
            # Who guesses a password gets ten tries in five minutes; the cloud's own accounts are not locked
            # (steps/accounts.py): anybody could stop them so, and nobody guesses what is drawn.
            "security_compliance": {"lockout_failure_attempts": 10, "lockout_duration": 300},
            "oslo_middleware": {"enable_proxy_headers_parsing": True},
        }

    def irreplaceable(self) -> dict[Path, str]:
        return {self.state / keys: self.user for keys in ("fernet-keys", "credential-keys")}

    @property
    def key_owner(self) -> list[str]:
        """keystone-manage's options: whose the keys are that it makes, which are for their owner alone.

        It becomes this user, and of groups keeps this one only: it must get through the cloud's folders.
        """
        return ["--keystone-user", self.user, "--keystone-group", GROUP]

    def upkeep(self) -> list[UpkeepTask]:
        def run(commands: Sequence[Sequence[str]]) -> None:
            program = ("keystone.cmd.manage:main", "keystone-manage", self.config_arguments())
            manage(self.ctx, *program, commands)

        return [
            *keys.tasks(self.config_files(), self.state, self.key_owner, run),
            rows.task(
                self.ctx,
                "keystone-trusts",
                "trusts that have ended",
                ("keystone",),
                lambda days: run([["trust_flush", "--date", rows.day(days)]]),
                columns=("deleted_at", "expires_at"),
            ),
        ]

    def work(self) -> list[Step]:
        def create(report: Callable[[str], None]) -> None:
            manage(
                self.ctx,
                "keystone.cmd.manage:main",
                "keystone-manage",
                self.config_arguments(),
                [
                    ["db_sync"],
                    ["fernet_setup", *self.key_owner],
                    ["credential_setup", *self.key_owner],
                    ["bootstrap"],
                ],
                env={
                    "OS_BOOTSTRAP_PASSWORD": self.ctx.secrets["admin"],
                    "OS_BOOTSTRAP_REGION_ID": self.ctx.cloud.region,
                    **{
                        f"OS_BOOTSTRAP_{kind}_URL": self.ctx.url("keystone", "/v3")
                        for kind in ("ADMIN", "PUBLIC", "INTERNAL")
                    },
                },
            )

        of = (self.ctx.secrets["admin"], self.ctx.cloud.region)
        return [self.schema(create, "identity: database, keys, administrator", 9, *of)]

    def services(self) -> list[Service]:
        files = ";".join(str(path) for path in self.config_files())
        return [
            self.api(
                "keystone",
                "keystone.wsgi.api:application",
                env={"OS_KEYSTONE_CONFIG_FILES": files},
                after=("create:keystone",),
                path="/v3",
            )
        ]
