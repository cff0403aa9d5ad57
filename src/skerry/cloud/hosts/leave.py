"""A host that cloud.toml names no more: its servers move, then it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skerry.cloud.components import registry
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change
from skerry.cloud.hosts.join import Joined
from skerry.cloud.hosts.migration_site import damaging_qemu
from skerry.cloud.members import Members
from skerry.cloud.model.cloud_toml import Host
from skerry.cloud.resources.base import ApiStep
from skerry.cloud.steps.certificates import Certificates
from skerry.cloud.steps.database import connect
from skerry.common.errors import NotReadyError, StepError
from skerry.common.wait import wait_for

TIMEOUT = 600.0  # seconds for one server to move
SETTLED = 30.0  # seconds for nova to finish what it knows of moves that are over
# How a migration ends (nova.db.main.api, migration_get_in_progress_by_host_and_node): with any other one a compute
# service cannot be deleted.
ENDED = {"confirmed", "reverted", "error", "failed", "completed", "cancelled", "done"}


def unfinished(compute: Any, host: str) -> list[Any]:
    """What nova has not finished of the migrations from and to a host."""
    return [one for one in compute.migrations(host=host) if one.status not in ENDED]


def described(migrations: list[Any]) -> str | None:
    """Migrations and their states in words; None when there are none."""
    return "; ".join(f"{one.migration_type} of {one.server_id} is {one.status}" for one in migrations) or None


def moves(compute: Any, migration: Any) -> bool:
    """Whether the server of a migration is on its way still, or waits for a word about it."""
    server = compute.find_server(migration.server_id, all_projects=True)
    return server is not None and (bool(server.task_state) or server.status == "VERIFY_RESIZE")


def known_on_hosts() -> list[str]:
    """The names of the secrets that every host knows, and that can be drawn again."""
    return [secret.name for secret in registry.secrets().values() if secret.on_hosts and not secret.fixed]


class Departed(ApiStep):
    """No server is left on the host, nothing of the cloud runs there, and the cloud does not know it any more."""

    live = False  # which servers will move is known before the other hosts have heard of it
    cost = 20.0
    needs = ("compute-alive",)

    def __init__(self, ctx: Context, host: Host) -> None:
        super().__init__(ctx)
        self.host = host
        self.name, self.title = f"leave:{host.name}", f"take host {host.name} out of the cloud"

    def look(self) -> list[Change]:
        if self.host.name not in Members(self.ctx).all():
            return []
        servers = self._servers()
        return [
            *(Change(f"move server {server.name} away from {self.host.name}") for server in servers),
            Change(f"take host {self.host.name} out"),
        ]

    def _servers(self) -> list[Any]:
        return list(self.ctx.api.compute.servers(all_projects=True, compute_host=self.host.name))

    def apply(self, report: Callable[[str], None]) -> None:
        compute, name = self.ctx.api.compute, self.host.name
        services = [s for s in compute.services(binary="nova-compute") if s.host == name]
        for service in services:
            compute.disable_service(service, name, "nova-compute", disabled_reason="taken out of the cloud")
        for server in self._servers():
            report(f"move server {server.name}")
            self._move(server)
        self._settle(report)
        joined = Joined(self.ctx, self.host)
        joined.tell(["destroy", "--yes", *joined.keep_packages], report)
        for service in services:
            compute.delete_service(service)
        for agent in self.ctx.api.network.agents(host=name):
            self.ctx.api.network.delete_agent(agent)
        self._lock_out(report)
        Members(self.ctx).remove(name)

    def _lock_out(self, report: Callable[[str], None]) -> None:
        """What the host had of the cloud opens nothing any more: its certificate, its key, and the passwords that it knew.

        Services get their new passwords, and the list of revoked certificates, when 'up' converges once more for them.
        """
        certificates = Certificates(self.ctx)
        certificates.revoke(self.host.name)
        certificates.apply(report)
        # On file only: the rest of this run works with what the services have.
        Context.at(self.ctx.layout.root).secrets.rotate(known_on_hosts())

    def _settle(self, report: Callable[[str], None]) -> None:
        """Wait for nova: a server is elsewhere before the host that it left has noted so.

        What is left after that, while its server does not move, never ends: a host lost its power at the time. Nova has
        no call to end it, and keeps the host for its sake. Raises NotReadyError when a server still moves, StepError.
        """
        compute, name = self.ctx.api.compute, self.host.name
        try:
            wait_for(f"the last migrations of {name}", lambda: described(unfinished(compute, name)), SETTLED)
        except NotReadyError:
            left = unfinished(compute, name)
            if any(moves(compute, one) for one in left):
                raise
            for one in left:
                report(f"end a migration that was broken off: {described([one])}")
                self._end(one)

    def _end(self, migration: Any) -> None:
        """Let nova's records have a migration as failed, and give back what it holds of the host."""
        answer = self.ctx.api.placement.delete(f"/allocations/{migration.uuid}")
        if answer.status_code not in (204, 404):  # 404: it holds nothing
            raise StepError(
                self.name, f"placement does not release what migration {migration.uuid} holds: {answer.text}"
            )
        with connect(self.ctx, database="nova") as root, root.cursor() as cursor:
            cursor.execute("update migrations set status = 'error' where uuid = %s", (migration.uuid,))

    def _move(self, server: Any) -> None:
        compute = self.ctx.api.compute
        paused = server.status == "ACTIVE" and self._damaging()
        if paused:
            compute.pause_server(server)
            wait_for(
                f"server {server.name} to pause",
                lambda: None if compute.get_server(server.id).status == "PAUSED" else "it still runs",
                60,
            )
        if server.status in ("ACTIVE", "PAUSED"):
            compute.live_migrate_server(server, host=None, block_migration="auto")
        else:
            compute.migrate_server(server)

        def missing() -> str | None:
            now = compute.get_server(server.id)
            if now.status == "VERIFY_RESIZE":
                compute.confirm_server_resize(now)
            if now.status == "ERROR":
                raise StepError(
                    self.name, f"server {now.name} went to ERROR: {(now.fault or {}).get('message')}"
                )
            there = now.compute_host == self.host.name
            return (
                f"it is still on {self.host.name} ({now.status}, {now.task_state})"
                if there or now.task_state
                else None
            )

        wait_for(f"server {server.name} to move", missing, TIMEOUT)
        if paused:
            compute.unpause_server(server)

    def _damaging(self) -> bool:
        """Whether a running server must not move away from here: its memory would be damaged."""
        return damaging_qemu(self.ctx, Joined(self.ctx, self.host).there) is not None
