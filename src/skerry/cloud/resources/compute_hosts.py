"""Compute hosts are mapped into their cell, and report to the cloud."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pymysql

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Unknown
from skerry.cloud.resources.base import ApiStep
from skerry.cloud.steps.database import connect
from skerry.cloud.steps.manage import apart
from skerry.common.wait import wait_for


class ComputeHostsAlive(ApiStep):
    """Every compute host is mapped into its cell and alive, and so is its network agent."""

    name = "compute-alive"
    title = "compute hosts report to the cloud"
    needs: tuple[str, ...] = (
        "start:nova-compute",
        "start:nova-api",
        "start:nova-scheduler",
        "start:ovn-controller",
        "start:neutron-api",
        "network",
    )
    cost = 4.0

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self.hosts = [host.name for host in ctx.cloud.computes]
        self.needs = (*self.needs, *(f"host:{host.name}" for host in ctx.cloud.others))

    def _started(self, host: str) -> float:
        """When nova-compute was started there, seconds since the epoch: it must have reported since."""
        if host == self.ctx.host.name:
            return self.ctx.supervisor.process("nova-compute").since
        return float(self.ctx.journal.done(f"host:{host}") or 0)

    def _service(self, host: str) -> Any:
        found = self.ctx.api.compute.services(binary="nova-compute")
        return next((service for service in found if service.host == host), None)

    def missing(self) -> str | None:
        """What some compute host has not reported yet, None when all have."""
        return next((missing for host in self.hosts if (missing := self._missing_of(host))), None)

    def _missing_of(self, host: str) -> str | None:
        api, service = self.ctx.api, self._service(host)
        if service is None or not service.updated_at:
            return f"nova-compute on {host} has not reported"
        reported = datetime.fromisoformat(service.updated_at).replace(tzinfo=UTC).timestamp()
        if reported < self._started(host):
            return f"nova-compute on {host} has not reported since it was started"
        if service.is_forced_down:
            return f"{host} is marked as dead"
        if service.state != "up":
            return f"nova-compute on {host} has not reported since {service.updated_at}"
        if (service.disabled_reason or "").startswith("AUTO:"):  # nova's own doing, not an operator's
            return f"nova-compute on {host} has switched itself off ({service.disabled_reason})"
        if not any(True for _ in api.placement.resource_providers(name=host)):
            return f"the inventory of {host} is not in placement"
        agents = [a for a in api.network.agents() if a.host == host and "Controller" in a.agent_type]
        if not agents or not agents[0].is_alive:
            return f"OVN's agent on {host} is not alive"
        return None

    def _lack_when_back(self) -> str | None:
        """The same, and a host that was marked as dead is so no more: its part of the cloud has been started."""
        from openstack.exceptions import BadRequestException

        for host in self.hosts:
            service = self._service(host)
            if service is not None and service.is_forced_down:
                try:
                    self.ctx.api.compute.update_service_forced_down(service, forced=False)
                except BadRequestException as busy:  # it still removes what was evacuated from it
                    return f"{host} is marked as dead: {busy.message}"
        return self.missing()

    def _unmapped(self) -> list[str]:
        try:
            with connect(self.ctx, database="nova_api") as root, root.cursor() as cursor:
                cursor.execute("select host from host_mappings")
                mapped = {row[0] for row in cursor.fetchall()}
                return [host for host in self.hosts if host not in mapped]
        except pymysql.err.OperationalError as error:
            raise Unknown(f"MariaDB does not answer: {error.args[-1]}") from None

    def look(self) -> list[Change]:
        changes = [Change(f"map host {host} into its cell") for host in self._unmapped()]
        missing = self.missing()
        return changes + ([Change(f"wait ({missing})")] if missing else [])

    def apply(self, report: Callable[[str], None]) -> None:
        wait_for("the compute hosts", self._lack_when_back, 90)
        if self._unmapped():
            from skerry.cloud.components.nova.component import Nova

            nova = Nova(self.ctx)
            command = [
                *apart(self.ctx, "nova-manage"),
                self.ctx.layout.bin("nova-manage"),
                *nova.control_arguments(),
                "cell_v2",
                "discover_hosts",
            ]
            self.ctx.platform.run(command)
