"""Stopping a cloud in order; its data stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from skerry.cloud.components import registry
from skerry.cloud.components.base.openstack import OpenStackComponent
from skerry.cloud.components.libvirt.guests import Guests, remove_metadata_namespaces, remove_taps
from skerry.cloud.components.openvswitch import guest_ports
from skerry.cloud.components.openvswitch.external_network import ExternalNetwork
from skerry.cloud.components.openvswitch.uplinks import Uplinks
from skerry.cloud.context import Context
from skerry.cloud.engine.lock import exclusive
from skerry.cloud.hosts.join import Joined
from skerry.cloud.members import Members
from skerry.cloud.operations.graph import services
from skerry.cloud.steps.access.loopback import LoopbackRules
from skerry.cloud.steps.reserve import free_when_full
from skerry.cloud.supervise.process_marks import other_clouds
from skerry.common import interrupt
from skerry.common.privilege import require_root

TIMEOUT = 60.0  # seconds that another host mostly takes for a verb


def down(root: Path | str, report: Callable[[str], None]) -> None:
    """Stop servers orderly and all services in the reverse of their order; data stays.

    Raises NotFoundError where there is no cloud, PreflightError when not root, BusyError.
    """
    ctx = Context.existing(root)
    require_root("'skerry down' must be root.")
    with interrupt.answered(report), exclusive(ctx.layout, "down"):
        started = time.monotonic()
        if freed := free_when_full(ctx.layout):
            report(freed)
        on_others(ctx, lambda host: ["down"], report)
        guests = stop_guests(ctx)
        if guests:
            report(f"{guests} servers were shut down; 'up' starts them again")
        interrupt.check()
        remove_taps(ctx)
        stop_services(ctx, ctx.supervisor.stop)
        with interrupt.running("end the supervisor", 20):
            ctx.supervisor.end()
        undo_network(ctx, report)
        report(f"down after {time.monotonic() - started:.0f} s; data is in {ctx.layout.state}")


def undo_network(ctx: Context, report: Callable[[str], None]) -> None:
    """Remove what the cloud has in the machine's network, but what another cloud that runs has there by now."""
    remove_metadata_namespaces(ctx)
    LoopbackRules(ctx).undo()
    others = other_clouds(ctx.layout)
    if others:
        report(f"the machine's network is left alone: the cloud under {min(others)} runs with it")
        return
    Uplinks(ctx).undo()
    ExternalNetwork(ctx).undo()
    guest_ports.remove_rules(ctx)


def on_others(ctx: Context, words: Callable[[Joined], list[str]], report: Callable[[str], None]) -> None:
    """Run one of Skerry's verbs on all hosts that have joined, at the same time."""

    def tell(host: Joined) -> None:
        with interrupt.running(f"host {host.host.name}", TIMEOUT):
            host.tell(words(host), report)

    hosts = [Joined(ctx, host) for host in Members(ctx).all().values()] if ctx.leads else []
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(tell, hosts))


def stop_services(ctx: Context, stop: Callable[[str], None]) -> None:
    """Stop OpenStack's services all at once, then what they depend on in the reverse of its order."""
    parts = [part for part in registry.present(ctx) if isinstance(part, OpenStackComponent)]
    above = [service.name for part in parts for service in part.services()]
    seconds = {service.name: service.stop_seconds for service in services(ctx)}

    def end(name: str) -> None:
        with interrupt.running(f"stop {name}", seconds.get(name, 0)):
            stop(name)

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(end, above))
    for service in reversed(services(ctx)):
        if service.name not in above:
            end(service.name)


def stop_guests(ctx: Context, seconds: float = 20.0) -> int:
    """Ask all guests to power off and end those that have not after ``seconds``; returns how many there were.

    nova-compute goes first: seeing them stop it would take it for their users' wish, and not start them again.
    """
    with interrupt.running("stop the servers", seconds + 10):
        ctx.supervisor.stop("nova-compute")
        return Guests(ctx).stop_all(seconds)
