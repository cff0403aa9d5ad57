"""What works for the APIs on the hosts: nova-compute, OVN's chassis, the proxies for guests' metadata."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import psutil

from skerry.cloud.doctor.base import Check, Finding, Patient
from skerry.cloud.doctor.services import words
from skerry.cloud.model.layout import Layout
from skerry.cloud.supervise.process_marks import service_of

LOGS = {"Controller": "ovn-controller", "Metadata": "neutron-ovn-metadata-agent"}


class ComputeAlive(Check):
    """Every service of nova has reported within the last minute."""

    name = "compute-alive"
    message = "No server is started on, or managed by, a host whose agent does not report."
    needs = ("keystone", "nova-api")
    seconds = 30.0

    def findings(self, patient: Patient) -> Iterable[Finding]:
        for agent in patient.ctx.api.compute.services():
            where = f"{agent.binary} on {agent.host}"
            if agent.is_forced_down:
                yield Finding(
                    "error",
                    f"{where} is marked as dead: it gets no servers",
                    (),
                    "When the host is back, 'skerry up' starts its part of the cloud and takes the mark away.",
                )
            elif agent.state != "up":
                yield Finding(
                    "error",
                    f"{where} has not reported since {agent.updated_at}",
                    words(patient.ctx, agent.binary),
                    f"Does it run, and reach the broker? 'skerry logs {agent.binary}', then 'skerry up'.",
                )
            elif agent.status != "enabled":
                yield Finding(
                    "warning",
                    f"{where} is disabled: it gets no new servers",
                    (agent.disabled_reason,) if agent.disabled_reason else (),
                    f"Enable it: skerry openstack compute service set --enable {agent.host} {agent.binary}",
                )


class HostsUsable(Check):
    """The scheduler sees every host whose agent is alive."""

    name = "hosts-usable"
    message = "A host is alive, but no server can go there."
    needs = ("keystone", "placement", "nova-api")
    seconds = 30.0

    def findings(self, patient: Patient) -> Iterable[Finding]:
        api = patient.ctx.api
        alive = {
            s.host
            for s in api.compute.services(binary="nova-compute")
            if s.state == "up" and s.status == "enabled"
        }
        providers = {provider.name: provider.id for provider in api.placement.resource_providers()}
        for host in sorted(alive):
            if host not in providers:
                yield Finding(
                    "error",
                    f"host {host} has no inventory in placement: no server can go there",
                    remedy="Look at 'skerry logs nova-compute' for 'placement', then 'skerry up'.",
                )
                continue
            answer = api.placement.get(f"/resource_providers/{providers[host]}/traits", microversion="1.6")
            if "COMPUTE_STATUS_DISABLED" in answer.json().get("traits", ()):
                yield Finding(
                    "error",
                    f"host {host} is alive, but disabled in placement: the scheduler passes it over",
                    ("nova-compute sets the mark when it loses libvirt, and clears it when libvirt is back",),
                    "Does libvirt answer? If it does, restart nova-compute: it clears the mark.",
                    partial(_restart, patient, "nova-compute"),
                )


class NetworkAgentsAlive(Check):
    """OVN's chassis and the metadata agents are alive."""

    name = "network-agents-alive"
    message = "Ports on a host without its agent get no wires, guests no metadata."
    needs = ("keystone", "neutron-api")
    seconds = 30.0

    def findings(self, patient: Patient) -> Iterable[Finding]:
        seen = set()
        for agent in patient.ctx.api.network.agents():
            seen |= {kind for kind in LOGS if kind in agent.agent_type}
            if not agent.is_alive:
                service = next(
                    (name for kind, name in LOGS.items() if kind in agent.agent_type), "ovn-controller"
                )
                yield Finding(
                    "error",
                    f"{agent.agent_type} on {agent.host} is not alive (last seen {agent.last_heartbeat_at})",
                    words(patient.ctx, service),
                    f"Look at 'skerry logs {service}' and 'skerry logs ovn-northd', then restart it.",
                    partial(_restart, patient, service),
                )
        if "Controller" not in seen:
            yield Finding(
                "error", "no OVN chassis is registered: no port can be bound", (), "Run 'skerry up'."
            )


class MetadataProxies(Check):
    """Each network with servers on this host has one proxy for their metadata, and just one."""

    name = "metadata-proxies"
    of = ("neutron-ovn-metadata-agent",)
    message = "Guests ask 169.254.169.254 for their keys; without a proxy for their network nobody answers."
    needs = ("keystone", "neutron-api")
    seconds = 30.0

    def findings(self, patient: Patient) -> Iterable[Finding]:
        network, ctx = patient.ctx.api.network, patient.ctx
        ports = [p for p in network.ports() if (p.device_owner or "").startswith("compute:")]
        here = {p.network_id for p in ports if p.binding_host_id in (ctx.host.name, None, "")}
        names = {n.id: n.name for n in network.networks()}
        proxies = running_proxies(ctx.layout)
        restart = partial(_restart, patient, "neutron-ovn-metadata-agent")
        for missing in sorted(here - set(proxies)):
            yield Finding(
                "error",
                f"network {names.get(missing, missing)} has servers here, but no metadata proxy",
                (f"no haproxy runs with ovn-metadata-proxy/{missing}.conf",),
                "Restart neutron-ovn-metadata-agent: it starts what is missing.",
                restart,
            )
        for network_id, pids in proxies.items():
            if len(pids) > 1:
                yield Finding(
                    "warning",
                    f"network {names.get(network_id, network_id)} has {len(pids)} metadata proxies, not one",
                    (f"processes {', '.join(map(str, pids))}, oldest first",),
                    "End all but the newest. If more come: 'skerry logs neutron-ovn-metadata-agent'.",
                    partial(_end_surplus, network_id, pids),
                )


def running_proxies(layout: Layout) -> dict[str, list[int]]:
    """The metadata agent's haproxy processes by network, the oldest first."""
    rows = []
    for process in psutil.process_iter(["pid", "cmdline", "create_time", "name"]):
        words = process.info["cmdline"] or []
        of = service_of(process.info["pid"], layout) if process.info["name"] == "haproxy" else None
        if of == MetadataProxies.of[0] and len(words) > 2:
            rows.append((process.info["create_time"], process.info["pid"], Path(words[2]).stem))
    found: dict[str, list[int]] = {}
    for _, pid, network in sorted(rows):
        found.setdefault(network, []).append(pid)
    return found


def _end_surplus(network: str, pids: Sequence[int]) -> str:
    """End all but the newest: that one has the network's present configuration."""
    for pid in pids[:-1]:
        try:
            psutil.Process(pid).terminate()
        except psutil.NoSuchProcess:
            continue
    return f"ended {len(pids) - 1} old metadata proxies of network {network}"


def _restart(patient: Patient, name: str) -> str:
    patient.ctx.supervisor.start(patient.vitals[name].service)
    return f"restarted {name}"
