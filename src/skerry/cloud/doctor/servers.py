"""Servers in ERROR: each is followed to the first cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from skerry.cloud.context import Context
from skerry.cloud.doctor.base import Check, Finding, Patient
from skerry.cloud.doctor.logs import read_logs
from skerry.cloud.doctor.trace import first_cause, shorten

MOST = 10  # servers that are followed; the rest is counted


class ServersInError(Check):
    """No server is in ERROR."""

    name = "servers-in-error"
    message = "A server failed; its first cause may be in any service."
    needs = ("keystone", "nova-api")
    seconds = 60.0

    def findings(self, patient: Patient) -> Iterable[Finding]:
        servers = list(patient.ctx.api.compute.servers(all_projects=True, status="ERROR"))
        logs = read_logs(patient.ctx) if servers else {}
        for server in servers[:MOST]:
            actions = _actions(patient.ctx, server.id)
            yield explain(server.name, server.id, (server.fault or {}).get("message", ""), actions, logs)
        if len(servers) > MOST:
            yield Finding("error", f"{len(servers) - MOST} more servers are in ERROR")


def explain(
    name: str, uuid: str, fault: str, actions: Iterable[Mapping[str, Any]], logs: Mapping[str, list[str]]
) -> Finding:
    """The finding for one server; ``actions`` are nova's, the newest first, each with its ``request_id``."""
    retry = f"Then 'skerry openstack server delete {uuid}', and create it again."
    what = f"server {name} is in ERROR"
    said = (f"nova's fault: {shorten(fault)}",) if fault else ()
    for action in actions:
        cause = first_cause(action["request_id"], logs, uuid)
        if cause is None:
            continue
        request = f"request {action['request_id']} ({action['action']})"
        trail = tuple(f"then {line}" for line in cause.trail[:4])
        return Finding(
            "error", f"{what}: {cause.sentence}", (request, *trail, *said), f"{cause.remedy} {retry}"
        )
    lost = "the logs have nothing of its requests; they may be older than the logs that are kept"
    return Finding(
        "error", what, (*said, lost), f"Look at 'skerry openstack server event list {uuid}'. {retry}"
    )


def _actions(ctx: Context, server: str) -> list[Mapping[str, Any]]:
    answer = ctx.api.compute.get(f"/servers/{server}/os-instance-actions", microversion="2.84")
    actions: list[Mapping[str, Any]] = answer.json().get("instanceActions", [])
    failed = [action for action in actions if action.get("message")]  # nova writes "Error" there
    return failed + [action for action in actions if action not in failed]
