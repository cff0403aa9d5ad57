"""Accounts of the services, the catalogue, and the project that the first user works in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step, Unknown
from skerry.cloud.model import ports

# service -> (type in the catalogue, port, path)
ENDPOINTS: Mapping[str, tuple[str, int, str]] = {
    "glance": ("image", ports.GLANCE, ""),
    "placement": ("placement", ports.PLACEMENT, ""),
    "nova": ("compute", ports.NOVA, "/v2.1"),
    "neutron": ("network", ports.NEUTRON, ""),
    "heat": ("orchestration", ports.HEAT, "/v1/%(tenant_id)s"),
    "heat-cfn": ("cloudformation", ports.HEAT_CFN, "/v1"),
    "swift": ("object-store", ports.SWIFT, "/v1/AUTH_%(tenant_id)s"),
}
WITHOUT_ACCOUNT = {"heat-cfn"}
FEATURES = {"heat": "heat", "heat-cfn": "heat", "swift": "swift"}  # those that come with a feature only
INTERFACES = ("public", "internal", "admin")


class Accounts(Step):
    """Each service has its account (roles admin and service in project service) and its endpoints."""

    name = "accounts"
    title = "accounts and catalogue"
    needs = ("start:keystone",)
    cost = 4.0
    live = True

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.names = [
            name for name in ENDPOINTS if name not in FEATURES or FEATURES[name] in ctx.cloud.features
        ]

    def check(self) -> list[Change]:
        from keystoneauth1.exceptions import ClientException
        from openstack.exceptions import SDKException

        try:
            identity = self.ctx.api.identity
            users = {user.name for user in identity.users()}
            services = {service.name: service.id for service in identity.services()}
            have = {(point.service_id, point.interface): point.url for point in identity.endpoints()}
        except (SDKException, ClientException) as error:
            raise Unknown(f"keystone does not answer: {error}") from None
        changes = [Change(f"create account {name}") for name in self._users() if name not in users]
        secrets = self.ctx.secrets
        changes += [
            Change(f"set the password of account {name}")
            for name in self._users()
            if name in users and self.ctx.journal.done(f"account:{name}") != _mark(secrets[f"service-{name}"])
        ]
        for name in self.names:
            url = self._url(name)
            for interface in INTERFACES:
                now = have.get((services.get(name), interface))
                if now != url:
                    changes.append(Change(f"{interface} endpoint of {name}", now, url))
        changes += [
            Change(f"take {name} out of the catalogue") for name in services if self._is_surplus(name)
        ]
        return changes

    def _is_surplus(self, name: str) -> bool:
        return name in ENDPOINTS and name not in self.names

    def _users(self) -> list[str]:
        return [name for name in self.names if name not in WITHOUT_ACCOUNT]

    def _url(self, name: str) -> str:
        _, port, path = ENDPOINTS[name]
        return self.ctx.url(port, path)

    def apply(self, say: Callable[[str], None]) -> None:
        identity = self.ctx.api.identity
        project = identity.find_project("service", domain_id="default") or identity.create_project(
            name="service", domain_id="default"
        )
        roles = [identity.find_role(name) or identity.create_role(name=name) for name in ("admin", "service")]
        users = {user.name: user for user in identity.users(domain_id="default")}
        for name in self._users():
            password = self.ctx.secrets[f"service-{name}"]
            if name not in users:
                user = identity.create_user(name=name, password=password, domain_id="default")
            else:
                user = identity.update_user(users[name], password=password)
            for role in roles:
                identity.assign_project_role_to_user(project, user, role)
            self.ctx.journal.finish(f"account:{name}", _mark(password))
        services = {service.name: service for service in identity.services()}
        points = {(point.service_id, point.interface): point for point in identity.endpoints()}
        for name in self.names:
            kind = ENDPOINTS[name][0]
            service = services.get(name) or identity.create_service(name=name, type=kind)
            for interface in INTERFACES:
                point = points.get((service.id, interface))
                if point is None:
                    identity.create_endpoint(
                        service_id=service.id,
                        interface=interface,
                        url=self._url(name),
                        region_id=self.ctx.cloud.region,
                    )
                elif point.url != self._url(name):
                    identity.update_endpoint(point, url=self._url(name))
        for name, service in services.items():
            if self._is_surplus(name):
                identity.delete_service(service)  # and with it its endpoints
        self.ctx.forget_api()


def _mark(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:12]
