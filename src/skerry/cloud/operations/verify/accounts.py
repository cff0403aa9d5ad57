"""Two projects with a member each, for the tests of clients; nothing of them is left afterwards."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from skerry.cloud.context import Context
from skerry.cloud.operations.people import DOMAIN
from skerry.common import log
from skerry.common.wait import wait_for

NAMES = ("skerry-verify", "skerry-verify-alt")  # of the users and of their projects
MEMBER, OTHER = "devstack", "devstack-alt"  # what clouds.yaml calls them
SERVERS = 40  # how many a project may have
EMPTIES = 120.0  # seconds of an idle machine in which all of a project can be removed


@dataclass(frozen=True)
class Member:
    """A user and the project of the same name."""

    ctx: Context
    name: str
    password: str
    project_id: str

    @property
    def auth(self) -> dict[str, str]:
        return {
            "auth_url": self.ctx.url("keystone", "/v3"),
            "username": self.name,
            "password": self.password,
            "project_name": self.name,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }

    @cached_property
    def api(self) -> Any:
        """An openstacksdk connection as this member."""
        import openstack

        return openstack.connection.Connection(
            auth=self.auth, region_name=self.ctx.cloud.region, interface="public", app_name="skerry"
        )


@contextmanager
def members(ctx: Context) -> Iterator[list[Member]]:
    """Make the accounts, and remove them with all that is theirs."""
    try:
        yield [_make(ctx, name) for name in NAMES]
    finally:
        remove(ctx)


def remove(ctx: Context) -> None:
    """Remove the accounts if they are there, as after a run that was killed."""
    for name in NAMES:
        _remove(ctx, name)


def _make(ctx: Context, name: str) -> Member:
    identity, api = ctx.api.identity, ctx.api
    password = secrets.token_urlsafe(24)
    log.hide([password])
    project = identity.create_project(name=name, domain_id=DOMAIN)
    user = identity.create_user(name=name, password=password, domain_id=DOMAIN, default_project_id=project.id)
    identity.assign_project_role_to_user(project, user, identity.find_role("member", ignore_missing=False))
    api.compute.update_quota_set(project.id, instances=SERVERS, cores=SERVERS, ram=SERVERS * 512)
    return Member(ctx, name, password, project.id)


def _remove(ctx: Context, name: str) -> None:
    """Remove a project with all that it owns, and its user."""
    identity = ctx.api.identity
    project = identity.find_project(name, domain_id=DOMAIN)
    if project is not None:
        _empty(ctx, project)
        identity.delete_project(project)
    user = identity.find_user(name, domain_id=DOMAIN)
    if user is not None:
        identity.delete_user(user)


def _empty(ctx: Context, project: Any) -> None:
    """Remove what a project owns, as a plain member of it: nothing of anybody else's can go with it."""
    api = ctx.api
    role = api.identity.find_role("member", ignore_missing=False)
    api.identity.assign_project_role_to_user(project, api.current_user_id, role)
    there = api.connect_as_project({"id": project.id, "name": project.name})

    def left() -> str | None:
        from openstack.exceptions import ConflictException

        there.project_cleanup(dry_run=False, wait_timeout=300)
        network, own = api.network, {"project_id": project.id}
        still = {
            "servers": api.compute.servers(all_projects=True, **own),
            "routers": network.routers(**own),
            "ports": network.ports(**own),
            "networks": network.networks(**own),
        }
        if names := [kind for kind, items in still.items() if any(True for _ in items)]:
            return f"it has {', '.join(names)}"
        try:
            # The default one is left to an administrator.
            for group in network.security_groups(**own):
                network.delete_security_group(group)
        except ConflictException as used:
            return str(used.details or used)
        return None

    wait_for(f"project {project.name} to be empty", left, EMPTIES, every=2)


def clouds_yaml(ctx: Context, users: list[Member]) -> str:
    """A clouds.yaml with the users and the administrator, under the names that upstream's tests look for."""
    common = {"region_name": ctx.cloud.region, "interface": "public", "identity_api_version": "3"}
    admin = {
        "auth_url": ctx.url("keystone", "/v3"),
        "username": "admin",
        "password": ctx.secrets["admin"],
        "user_domain_name": "Default",
    }
    scopes = {
        "devstack-admin": {"project_name": "admin", "project_domain_name": "Default"},
        "devstack-system-admin": {"system_scope": "all"},
    }
    logins = {name: member.auth for name, member in zip((MEMBER, OTHER), users, strict=True)}
    logins |= {name: admin | scope for name, scope in scopes.items()}
    return json.dumps({"clouds": {name: {"auth": auth, **common} for name, auth in logins.items()}}, indent=2)
