"""Servers in ERROR, each followed to the first cause, and those that still boot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from openstack.exceptions import SDKException

from skerry.cloud.components.libvirt.hypervisor import Hypervisor
from skerry.cloud.context import Context
from skerry.cloud.doctor.base import Check, Finding, Patient
from skerry.cloud.doctor.logs import read_logs
from skerry.cloud.doctor.trace import first_cause, shorten
from skerry.common.proc import last_lines

MOST = 10  # servers that are followed; the rest is counted
BOOTS = 1800.0  # seconds within which a system has booted, also where it is translated
LOGIN = "login:"  # what a system's console ends with once it has booted


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


class ServersBooting(Check):
    """Who waits for a server learns that it still boots."""

    name = "servers-booting"
    message = "An ACTIVE server is a started machine; until its system has booted it does not answer."
    needs = ("keystone", "nova-api")
    seconds = 60.0

    def findings(self, patient: Patient) -> Iterable[Finding]:
        compute = patient.ctx.api.compute
        translated = Hypervisor.decided(patient.ctx) == "qemu"
        now = datetime.now(UTC)
        fresh = [
            (server, age)
            for server in compute.servers(all_projects=True, status="ACTIVE")
            if (age := (now - datetime.fromisoformat(server.updated_at)).total_seconds()) < BOOTS
        ]
        for server, age in fresh[:MOST]:
            try:
                console = str(compute.get_server_console_output(server, length=200)["output"])
            except (
                SDKException
            ):  # it has ended meanwhile, or its host does not answer: other checks' business
                continue
            yield from booting(server.name, server.id, age, console, translated=translated)


def booting(name: str, uuid: str, age: float, console: str, *, translated: bool) -> Iterable[Finding]:
    """A note on a server whose console (text) has no prompt yet, ``age`` seconds after nova has started it."""
    if LOGIN in console:
        return
    why = " Here guests are translated (TCG): that takes minutes." if translated else ""
    shows = "its console asks for no login yet" if console.strip() else "its console shows nothing yet"
    yield Finding(
        "note",
        f"server {name} still boots: started {age:.0f} s ago, {shows}",
        tuple(last_lines(console, 1).splitlines()),
        f"Wait.{why} What it does: skerry openstack console log show {uuid}",
    )


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
