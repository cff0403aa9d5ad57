"""A server of a cloud, moved through nova's API."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from skerry.common.errors import NotFoundError, PreflightError
from skerry.migration.measure import Outcome

PATIENCE = 900.0  # seconds for one migration
ENDED = ("completed", "failed", "error", "cancelled")


class Server:
    """A server with a floating address; ``api`` is an openstacksdk connection as administrator (compute 2.90).

    ``look`` gets a host and a domain's name and returns what ``virsh domjobinfo --completed`` tells there.

    Raises NotFoundError (no such server), PreflightError (it is not ACTIVE, or has no address to probe).
    """

    def __init__(self, api: Any, name: str, look: Callable[[str, str], str] | None = None) -> None:
        self.api, self._look = api, look
        found = api.compute.find_server(name, all_projects=True)
        if found is None:
            raise NotFoundError(
                f"There is no server '{name}'.", remedy="'skerry openstack server list' shows them."
            )
        self.id, self.name = found.id, name
        if self._now().status != "ACTIVE":
            raise PreflightError(
                f"Server {name} is {self._now().status}.", remedy="Start it: only a running one moves."
            )

    @property
    def address(self) -> str:
        """Where it answers from here."""
        for addresses in (self._now().addresses or {}).values():
            for entry in addresses:
                if entry.get("OS-EXT-IPS:type") == "floating":
                    return str(entry["addr"])
        raise PreflightError(
            f"Server {self.name} has no floating address to probe.",
            remedy=f"'skerry openstack floating ip create public', then 'server add floating ip {self.name} ADDRESS'.",
        )

    def _now(self) -> Any:
        return self.api.compute.get_server(self.id)

    def move(self) -> Outcome:
        """Live migration to a host of nova's choice."""
        source = str(self._now().compute_host)
        before = {record.id for record in self._records()}
        begun = time.monotonic()
        try:
            self.api.compute.live_migrate_server(self.id, host=None, block_migration="auto")
        except (
            Exception
        ) as refused:  # the library's own classes; asked for by name they would be imported for nothing
            return Outcome(source, "", begun, time.monotonic(), str(refused))
        record = None
        while time.monotonic() - begun < PATIENCE:
            new = [record for record in self._records() if record.id not in before]
            record = new[0] if new else None
            server = self._now()
            if record is not None and record.status in ENDED and server.task_state is None:
                break
            time.sleep(0.05)
        ended, place = time.monotonic(), str(self._now().compute_host)
        if place != source:
            return Outcome(source, place, begun, ended)
        why = f"nova says '{record.status}'" if record is not None else "nova chose no host"
        return Outcome(source, str(getattr(record, "dest_compute", "") or ""), begun, ended, why)

    def _records(self) -> list[Any]:
        return list(self.api.compute.migrations(instance_uuid=self.id, migration_type="live-migration"))

    def counters(self) -> dict[str, float]:
        """QEMU's total time and downtime in milliseconds, what was moved in MiB, and the number of iterations."""
        if self._look is None:
            return {}
        server = self._now()
        return job_figures(self._look(str(server.compute_host), str(server.instance_name)))


def job_figures(told: str) -> dict[str, float]:
    """The figures that matter of what ``virsh domjobinfo`` prints."""
    wanted = {
        "Time elapsed": "total",
        "Total downtime": "downtime",
        "Data processed": "moved",
        "Iteration": "iterations",
    }
    scale = {"ms": 1.0, "B": 2.0**-20, "KiB": 2.0**-10, "MiB": 1.0, "GiB": 1024.0, "": 1.0}
    found: dict[str, float] = {}
    for line in told.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if name.strip() in wanted and words:
            unit = words[1] if len(words) > 1 else ""
            found[wanted[name.strip()]] = round(float(words[0]) * scale.get(unit, 1.0), 3)
    return found
