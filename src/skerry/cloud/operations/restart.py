"""Restarting services of this host as they are described at present, each until it is ready."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from skerry.cloud.context import CloudDownError, Context
from skerry.cloud.engine.lock import exclusive
from skerry.cloud.operations.graph import services
from skerry.cloud.supervise.service import Service
from skerry.common import interrupt
from skerry.common.errors import NotFoundError, StepError, did_you_mean
from skerry.common.privilege import require_root
from skerry.common.wait import wait_for


@dataclass(frozen=True)
class RestartedService:
    """A service that runs again; ``seconds`` is how long it took to be ready."""

    name: str
    pid: int
    seconds: float


@dataclass(frozen=True)
class Restarted:
    """What 'restart' reports."""

    services: list[RestartedService]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def render(self) -> str:
        return "\n".join(f"{row.name} is ready after {row.seconds:.1f} s." for row in self.services)


def restart(root: Path | str, names: Sequence[str], report: Callable[[str], None]) -> Restarted:
    """Restart services in the order in which 'up' starts them, and wait for each until it is ready.

    They start from what 'up' wrote last: a change of a file is the business of 'up'.

    Raises NotFoundError (no cloud, no such service), CloudDownError, BusyError, StepError for a service that was never
    started, NotReadyError for one that does not become ready.
    """
    ctx = Context.existing(root)
    require_root("'skerry restart' must be root.")
    known = services(ctx)
    chosen = [_known(ctx, name, known) for name in dict.fromkeys(names)]
    done = []
    with interrupt.answered(report), exclusive(ctx.layout, "restart"):
        if not ctx.supervisor.running():
            raise CloudDownError(ctx.layout.root, "nothing of it runs", remedy="Run 'skerry up'.")
        for service in sorted(chosen, key=known.index):
            if service.name not in ctx.supervisor.installed():
                raise StepError("restart", f"{service.name} was never started", remedy="Run 'skerry up'.")
            report(f"restart {service.name}")
            done.append(_restarted(ctx, service))
    return Restarted(done)


def _known(ctx: Context, name: str, known: Sequence[Service]) -> Service:
    found = next((service for service in known if service.name == name), None)
    if found is None:
        names = [service.name for service in known]
        where = f" on host {ctx.host.name}" if ctx.cloud.others else ""
        raise NotFoundError(
            f"There is no service '{name}'{where}.{did_you_mean(name, names)}",
            remedy=f"The services{where} are: {', '.join(names)}.",
        )
    return found


def _restarted(ctx: Context, service: Service) -> RestartedService:
    supervisor = ctx.supervisor
    before = supervisor.process(service.name).pid
    with interrupt.running(f"stop {service.name}", service.stop_seconds):
        supervisor.start(service)

    def missing() -> str | None:
        now = supervisor.process(service.name).pid
        return f"process {before} has not ended" if before and now == before else None

    took = wait_for(service.name, missing, service.stop_seconds + 5, every=0.1)
    took += supervisor.wait_ready(service)
    return RestartedService(service.name, supervisor.process(service.name).pid, round(took, 1))
