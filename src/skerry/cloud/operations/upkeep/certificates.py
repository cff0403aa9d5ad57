"""Certificates of hosts that end soon: new ones, brought to the hosts and to the services that have read the old ones."""

from __future__ import annotations

from collections.abc import Iterable

from skerry.cloud.components import registry
from skerry.cloud.components.base.component import Component
from skerry.cloud.context import Context
from skerry.cloud.engine.upkeep import AttentionError, UpkeepTask
from skerry.cloud.hosts.join import Joined
from skerry.cloud.members import Members
from skerry.cloud.steps.certificates import Certificates
from skerry.cloud.steps.files import Files
from skerry.cloud.supervise.service import File, Service
from skerry.common.errors import SkerryError


def task(ctx: Context) -> UpkeepTask:
    return UpkeepTask("certificates", "certificates that end soon", lambda: renew(ctx))


def renew(ctx: Context) -> str:
    """Issue what is due, on the host that leads; other hosts get theirs from there.

    Services restart that have read them. One that waits for 'up' anyway is left to it: it would start with what an operator
    has not applied yet. Raises AttentionError for such a service, and for a host that could not be reached.
    """
    if not ctx.leads or not ctx.cloud.others:
        return ""
    step, done, left = Certificates(ctx), [], []
    due = step.ending()
    if due:
        before = {service.name: service.fingerprint for service in _services(ctx)}
        step.apply(lambda text: None)
        done.append(f"new for {', '.join(due)}")
        texts = set(step.parts(ctx.host).values())
        for part in registry.present(ctx):
            _write(ctx, part, texts)
        for service in _services(ctx):
            if service.fingerprint == before[service.name]:
                continue
            if ctx.supervisor.process(service.name).fingerprint == before[service.name]:
                _restart(ctx, service)
                done.append(f"restarted {service.name}")
            else:
                left.append(f"{service.name} has the old certificate until 'skerry up' restarts it")
    for host in Members(ctx).all().values():
        try:
            if Joined(ctx, host).renew():
                done.append(f"brought to {host.name}")
        except SkerryError as error:
            left.append(f"{host.name} could not be given its certificate: {error}")
    if left:
        raise AttentionError("; ".join([*done, *left]))
    return "; ".join(done)


def _services(ctx: Context) -> list[Service]:
    return [service for part in registry.present(ctx) for service in part.services()]


def _write(ctx: Context, part: Component, texts: Iterable[str]) -> None:
    """The component's files that are copies of certificates and keys, under the names that its programs look for."""

    def copies() -> list[File]:
        return [file for file in part.every_file() if file.content and file.content in texts]

    Files(ctx, f"certificates:{part.name}", "copies of certificates", copies).apply(lambda text: None)


def _restart(ctx: Context, service: Service) -> None:
    ctx.supervisor.install(service)
    ctx.supervisor.start(service)
    ctx.supervisor.wait_ready(service)
