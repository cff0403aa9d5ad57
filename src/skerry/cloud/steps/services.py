"""Starting services: running from the right specification, and ready."""

from __future__ import annotations

from collections.abc import Callable, Collection

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.cloud.supervise.service import Service


class Surplus(Step):
    """Services that the cloud no longer has (a feature was taken out, a release does without) are ended."""

    name = "surplus"
    title = "services that are no longer part of it"
    needs = ("supervisor",)
    cost = 0.1

    def __init__(self, ctx: Context, wanted: Collection[str]) -> None:
        self.ctx, self.wanted = ctx, wanted

    def check(self) -> list[Change]:
        return [Change(f"end {name}") for name in self._surplus()]

    def apply(self, report: Callable[[str], None]) -> None:
        for name in self._surplus():
            self.ctx.supervisor.forget(name)

    def _surplus(self) -> list[str]:
        return [name for name in self.ctx.supervisor.installed() if name not in self.wanted]


class ServiceStep(Step):
    """The service runs, from the specification that it should have, and its probe is content."""

    heavy = True

    def __init__(
        self, ctx: Context, service: Service, needs: tuple[str, ...], latest: Callable[[], Service]
    ) -> None:
        self.ctx, self.service, self._latest = ctx, service, latest
        self.name = f"start:{service.name}"
        self.title = service.title or service.name
        self.needs = needs
        self.cost = service.cost
        self.heavy = service.cost >= 2

    def check(self) -> list[Change]:
        self.service = self._latest()  # facts that earlier steps found are in it
        process = self.ctx.supervisor.process(self.service.name)
        if not process.pid:
            return [Change(f"start {self.service.name}")]
        if process.fingerprint != self.service.fingerprint:
            return [Change(f"restart {self.service.name} (its configuration changed)")]
        missing = self.service.ready.missing(process.pid)
        return [Change(f"wait until {self.service.name} is ready ({missing})")] if missing else []

    def apply(self, report: Callable[[str], None]) -> None:
        process = self.ctx.supervisor.process(self.service.name)
        self.ctx.supervisor.install(self.service)
        if not process.pid or process.fingerprint != self.service.fingerprint:
            self.ctx.supervisor.start(self.service)
        self.ctx.supervisor.wait_ready(self.service)

    def verify(self) -> None:
        """``wait_ready`` has just asked the probe."""
