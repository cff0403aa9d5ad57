"""Servers of a cloud, moved through nova's API."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from skerry.common.errors import NotFoundError, PreflightError

TIMEOUT = 900.0  # seconds for one migration
POST_COPY = "running (post-copy)"
ENDED = ("completed", "failed", "error", "cancelled")
EVERY = 0.1  # seconds between two looks; each costs the API some tens of milliseconds of processor
RUNNING = 1  # nova's power state of a guest that runs
LATEST = "2.90"  # the microversion of all that is asked here


@dataclass(frozen=True)
class Outcome:
    """How a migration went: hosts, and the reason when it failed. Times in seconds of the monotonic clock."""

    source: str
    destination: str
    started: float
    ended: float
    failure: str | None = None
    post_copy: bool = (
        False  # whether nova said that the guest ran at its destination before all of it was there
    )

    @property
    def seconds(self) -> float:
        """From the request to the server being there and nothing left to do."""
        return self.ended - self.started


def hosts_up(api: Any, wanted: Sequence[str] | None = None) -> list[str]:
    """The hosts between which servers can move: those ``wanted``, or all whose nova-compute is up and enabled.

    Raises NotFoundError (an unknown host) and PreflightError (one that is down or disabled, or no second host).
    """
    services = {service.host: service for service in api.compute.services(binary="nova-compute")}
    for name in wanted or ():
        if name not in services:
            raise NotFoundError(
                f"There is no compute host '{name}'.", remedy=f"There are: {', '.join(sorted(services))}"
            )
        state, status = services[name].state, services[name].status
        if state != "up" or status != "enabled":
            raise PreflightError(
                f"Host {name} is {state if state != 'up' else status}: no server can move to it.",
                remedy="'skerry doctor' shows what is wrong there; 'skerry openstack compute service set --enable' takes"
                " a disabled host in again.",
            )
    up = wanted or [name for name, one in services.items() if (one.state, one.status) == ("up", "enabled")]
    if len(set(up)) < 2:
        raise PreflightError(
            f"There is no second host to move a server to: of {', '.join(sorted(services)) or 'no host'},"
            f" {', '.join(sorted(up)) or 'none'} can be used.",
            remedy="Add one (docs/how-to/hosts.md), or see with 'skerry doctor' why the others are down.",
        )
    return sorted(set(up))


class Server:
    """A running server with a floating address; ``api`` is an openstacksdk connection as administrator.

    Raises NotFoundError (no such server), PreflightError (it is not ACTIVE).
    """

    def __init__(self, api: Any, name: str) -> None:
        self.api = api
        found = api.compute.find_server(name, all_projects=True)
        if found is None:
            raise NotFoundError(
                f"There is no server '{name}'.", remedy="'skerry openstack server list' shows them."
            )
        self.id, self.name = str(found.id), name
        now = self.now()
        if now.status != "ACTIVE":
            raise PreflightError(
                f"Server {name} is {now.status}.", remedy="Start it: only a running one moves."
            )
        self.domain = str(now.instance_name)

    def now(self) -> Any:
        return self.api.compute.get_server(self.id)

    @property
    def host(self) -> str:
        return str(self.now().compute_host)

    @property
    def address(self) -> str:
        """Where it answers from here. Raises PreflightError when there is none."""
        for entry in self._addresses():
            if entry.get("OS-EXT-IPS:type") == "floating":
                return str(entry["addr"])
        raise PreflightError(
            f"Server {self.name} has no floating address to probe.",
            remedy=f"'skerry openstack floating ip create public', then 'server add floating ip {self.name} ADDRESS'.",
        )

    @property
    def private(self) -> str:
        """Where its neighbours reach it."""
        return next(
            str(entry["addr"])
            for entry in self._addresses()
            if (entry.get("version"), entry.get("OS-EXT-IPS:type")) == (4, "fixed")
        )

    @property
    def network(self) -> str:
        """The id of its first port's network."""
        return str(next(iter(self.api.network.ports(device_id=self.id))).network_id)

    @property
    def addresses(self) -> list[str]:
        """All its addresses of version 4."""
        return [str(entry["addr"]) for entry in self._addresses() if entry.get("version") == 4]

    def _addresses(self) -> list[Any]:
        return [entry for entries in (self.now().addresses or {}).values() for entry in entries]

    def move(
        self,
        host: str | None = None,
        *,
        switch: Callable[[], bool] = lambda: False,
        limit: float = TIMEOUT,
    ) -> Outcome:
        """Live migration to ``host`` (None: nova's choice).

        When ``switch`` is true, nova is asked to complete it by force, which is post-copy where that is permitted.
        After ``limit`` seconds it is given up, and the server stays where it was.
        """
        source = self.host
        before = {record.id for record in self._records()}
        started = time.monotonic()
        try:
            self.api.compute.live_migrate_server(self.id, host=host, block_migration="auto")
        except (
            Exception
        ) as refused:  # the library's own classes; asked for by name they would be imported for nothing
            return Outcome(source, host or "", started, time.monotonic(), _sentence(refused))
        record, switched, aborted, post_copy = None, False, False, False
        while (waited := time.monotonic() - started) < limit + TIMEOUT:
            record = next((one for one in self._records() if one.id not in before), None)
            if record is not None and record.status in ENDED and self.now().task_state is None:
                break
            post_copy = post_copy or (record is not None and record.status == POST_COPY)
            if record is not None and record.status == "running":
                if not switched and switch():
                    switched = True
                    self._tell(record, force=True)
                if not aborted and waited > limit:
                    aborted = True
                    self._tell(record, force=False)
            if record is None and waited > limit and self.now().task_state is None:
                break
            time.sleep(EVERY)
        ended, place = time.monotonic(), self.host
        if place != source:
            return Outcome(source, place, started, ended, post_copy=post_copy)
        if aborted:
            self._set_right()
        why = f"given up after {limit:.0f} s: it did not converge" if aborted else self._reason()
        if not why:
            why = f"nova reports '{record.status}'" if record is not None else "nova chose no host"
        return Outcome(source, host or str(getattr(record, "dest_compute", "") or ""), started, ended, why)

    def _records(self) -> list[Any]:
        return list(self.api.compute.migrations(instance_uuid=self.id, migration_type="live-migration"))

    def _tell(self, record: Any, *, force: bool) -> None:
        """Complete a running migration by force, or abort it; it may have ended in the meantime."""
        path = f"/servers/{self.id}/migrations/{record.id}"
        if force:
            self.api.compute.post(f"{path}/action", json={"force_complete": None}, microversion=LATEST)
        else:
            self.api.compute.delete(path, microversion=LATEST)

    def _set_right(self) -> None:
        """Nova (34.0) marks a server whose migration was aborted as broken, though it runs on where it was."""
        now = self.now()
        if now.status == "ERROR" and now.power_state == RUNNING:
            self.api.compute.reset_server_state(self.id, "active")

    def _reason(self) -> str | None:
        """Why the last live migration failed, from nova's own record of the action."""
        path = f"/servers/{self.id}/os-instance-actions"
        actions = self.api.compute.get(path, microversion=LATEST).json().get("instanceActions", [])
        for action in actions:
            if action.get("action") != "live-migration":
                continue
            told = self.api.compute.get(f"{path}/{action['request_id']}", microversion=LATEST).json()
            events = told.get("instanceAction", {}).get("events", [])
            said = [event["details"] for event in events if event.get("details")]
            return " ".join(str(said[0]).split()) if said else action.get("message")
        return None


def _sentence(error: Exception) -> str:
    return " ".join(str(getattr(error, "details", None) or error).split())
