"""heat: stacks ('up --with heat')."""

from __future__ import annotations

from skerry.cloud.components.base.openstack import OpenStackComponent, Sections
from skerry.cloud.components.haproxy.signals import base
from skerry.cloud.components.upkeep import rows
from skerry.cloud.config.option_source import COMMON, DAEMONS, OptionSource
from skerry.cloud.engine.step import Step
from skerry.cloud.engine.upkeep import UpkeepTask
from skerry.cloud.model.catalogue import Endpoint
from skerry.cloud.model.ports import Port
from skerry.cloud.model.secrets import Secret
from skerry.cloud.model.users import STACKS
from skerry.cloud.steps.accounts import NEVER_LOCKED
from skerry.cloud.steps.manage import manage
from skerry.cloud.steps.once import Once
from skerry.cloud.supervise.probes import ConnectedProbe
from skerry.cloud.supervise.service import Service

DOMAIN, DOMAIN_ADMIN = "heat", "heat_domain_admin"


class Heat(OpenStackComponent):
    name = "heat"
    title = "stacks (heat)"
    user = STACKS
    options = OptionSource(("heat.*", *DAEMONS, *COMMON), ("heat",), distribution="openstack-heat")
    databases = {"heat": ("heat",)}
    feature = "heat"
    apis = (Port("heat-api", 8004), Port("heat-api-cfn", 8000))
    endpoints = (
        Endpoint("heat", "orchestration", "heat-api", "/v1/%(tenant_id)s"),
        Endpoint("heat-cfn", "cloudformation", "heat-api-cfn", "/v1"),
    )
    account = True
    secrets = (Secret("heat-domain"),)
    panel = "/project/stacks/"

    def settings(self) -> Sections:
        account = self.login()
        return {
            "DEFAULT": {
                **self.logging(),
                **self.stopping(),
                "transport_url": self.transport_url(),
                "host": self.ctx.host.name,
                "heat_metadata_server_url": base(self.ctx, "heat-api-cfn"),
                "heat_waitcondition_server_url": f"{base(self.ctx, 'heat-api-cfn')}/v1/waitcondition",
                "stack_user_domain_name": DOMAIN,
                "stack_domain_admin": DOMAIN_ADMIN,
                "stack_domain_admin_password": self.ctx.secrets["heat-domain"],
                "num_engine_workers": self.ctx.cloud.sizes.workers,
                "region_name_for_services": self.ctx.cloud.region,
            },
            "database": self.database(),
            "keystone_authtoken": self.token_check(),
            "trustee": {
                key: account[key]
                for key in ("auth_type", "auth_url", "username", "password", "user_domain_name")
            },
            "clients_heat": {"url": f"{base(self.ctx, 'heat-api')}/v1/%(tenant_id)s"},
            # Keystone checks signatures for services only; the address is without the version, which heat adds.
            "ec2authtoken": {**self.login(), "endpoint_override": self.ctx.url("keystone")},
            "clients_keystone": {"auth_uri": self.ctx.url("keystone")},
            "paste_deploy": {"api_paste_config": self.ctx.layout.env / "etc/heat/api-paste.ini"},
            **self.messaging(),
        }

    def upkeep(self) -> list[UpkeepTask]:
        def purge(days: int) -> None:
            command = ["purge_deleted", "--granularity", "days", str(days)]
            manage(self.ctx, "heat.cmd.manage:main", "heat-manage", self.config_arguments(), [command])

        return [rows.task(self.ctx, "heat-deleted", "records of deleted stacks", ("heat",), purge)]

    def work(self) -> list[Step]:
        def create(report: object) -> None:
            manage(self.ctx, "heat.cmd.manage:main", "heat-manage", self.config_arguments(), [["db_sync"]])

        def domain(report: object) -> None:
            identity = self.ctx.api.identity
            found = identity.find_domain(DOMAIN) or identity.create_domain(name=DOMAIN)
            user = identity.find_user(DOMAIN_ADMIN, domain_id=found.id)
            password = self.ctx.secrets["heat-domain"]
            if user is None:
                user = identity.create_user(
                    name=DOMAIN_ADMIN, domain_id=found.id, password=password, options=NEVER_LOCKED
                )
            else:
                user = identity.update_user(user, password=password, options=NEVER_LOCKED)
            identity.assign_domain_role_to_user(found, user, identity.find_role("admin"))
            for role in ("heat_stack_owner", "heat_stack_user"):
                if identity.find_role(role) is None:
                    identity.create_role(name=role)

        return [
            self.schema(create, "stacks: database", 6),
            Once(
                self.ctx,
                "heat-domain",
                "stacks: domain of their users",
                domain,
                of=[self.ctx.secrets["heat-domain"]],
                needs=("accounts",),
                cost=1,
            ),
        ]

    def services(self) -> list[Service]:
        arguments = " ".join(self.config_arguments())
        after = ("create:heat", "start:keystone", "start:rabbitmq", "heat-domain")
        return [
            self.api("heat-api", "heat.wsgi.api:application", env={}, arguments=arguments, after=after),
            self.api(
                "heat-api-cfn",
                "heat.wsgi.cfn:application",
                env={},
                arguments=arguments,
                after=after,
                title="signals from stacks (heat)",
            ),
            self.daemon(
                "heat-engine",
                ConnectedProbe((self.ctx.port("rabbitmq"),)),
                self.config_arguments(),
                title="engine (heat)",
                after=after,
            ),
        ]
