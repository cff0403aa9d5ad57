"""Accounts of the services, the catalogue, and the project that the first user works in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from skerry.cloud.components import registry
from skerry.cloud.context import CloudDownError, Context
from skerry.cloud.engine.step import Change, Step, Unknown

INTERFACES = ("public", "internal", "admin")
NEVER_LOCKED = {"ignore_lockout_failure_attempts": True}  # by wrong passwords, for which one needs no account


class Accounts(Step):
    """Each service has its account (roles admin and service in project service) and its endpoints."""

    name = "accounts"
    title = "accounts and catalogue"
    needs = ("start:keystone",)
    cost = 4.0
    live = True

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        wanted = registry.in_cloud(ctx)
        self.users = [component.name for component in wanted if component.account]
        self.endpoints = {point.service: point for component in wanted for point in component.endpoints}
        known = {point.service for component in registry.components() for point in component.endpoints}
        self._not_wanted = known - set(self.endpoints)

    def check(self) -> list[Change]:
        from keystoneauth1.exceptions import ClientException
        from openstack.exceptions import SDKException

        try:
            identity = self.ctx.api.identity
            users = {user.name for user in identity.users()}
            services = {service.name: service.id for service in identity.services()}
            have = {(point.service_id, point.interface): point.url for point in identity.endpoints()}
        except (SDKException, ClientException, CloudDownError) as error:
            raise Unknown(f"keystone does not answer: {error}") from None
        changes = [Change(f"create account {name}") for name in self.users if name not in users]
        secrets = self.ctx.secrets
        changes += [
            Change(f"set the password of account {name}")
            for name in self.users
            if name in users and self.ctx.journal.done(f"account:{name}") != _mark(secrets[f"service-{name}"])
        ]
        for name in self.endpoints:
            url = self._url(name)
            for interface in INTERFACES:
                now = have.get((services.get(name), interface))
                if now != url:
                    changes.append(Change(f"{interface} endpoint of {name}", now, url))
        changes += [
            Change(f"take {name} out of the catalogue") for name in services if name in self._not_wanted
        ]
        return changes

    def _url(self, name: str) -> str:
        point = self.endpoints[name]
        return self.ctx.url(point.port, point.path)

    def apply(self, report: Callable[[str], None]) -> None:
        identity = self.ctx.api.identity
        project = identity.find_project("service", domain_id="default") or identity.create_project(
            name="service", domain_id="default"
        )
        roles = [identity.find_role(name) or identity.create_role(name=name) for name in ("admin", "service")]
        users = {user.name: user for user in identity.users(domain_id="default")}
        identity.update_user(users["admin"], options=NEVER_LOCKED)
        for name in self.users:
            password = self.ctx.secrets[f"service-{name}"]
            if name not in users:
                user = identity.create_user(
                    name=name, password=password, domain_id="default", options=NEVER_LOCKED
                )
            else:
                user = identity.update_user(users[name], password=password, options=NEVER_LOCKED)
            for role in roles:
                identity.assign_project_role_to_user(project, user, role)
            self.ctx.journal.finish(f"account:{name}", _mark(password))
        services = {service.name: service for service in identity.services()}
        points = {(point.service_id, point.interface): point for point in identity.endpoints()}
        for name in self.endpoints:
            kind = self.endpoints[name].type
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
            if name in self._not_wanted:
                identity.delete_service(service)  # and with it its endpoints
        self.ctx.forget_api()


def _mark(secret: str) -> str:
    """What an account was made of."""
    return hashlib.sha256(f"{secret} {NEVER_LOCKED}".encode()).hexdigest()[:12]
