"""A role: what a host runs for one part of the cloud, as files, services and steps."""

from __future__ import annotations

from abc import ABC
from functools import partial
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Step
from skerry.cloud.steps.files import Files
from skerry.cloud.steps.services import ServiceStep
from skerry.cloud.supervise.service import File, Service


class Role(ABC):
    """One part of the cloud. The base class turns ``files`` and ``services`` into steps."""

    name: str
    title: str
    packages: tuple[str, ...] = ()  # of the operating system, by Debian's names (platform/base.py)
    databases: dict[str, tuple[str, ...]] = {}  # account -> databases

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def folders(self) -> dict[Path, str]:
        """Folders to make, with their owner."""
        return {}

    def files(self) -> list[File]:
        return []

    def services(self) -> list[Service]:
        return []

    def work(self) -> list[Step]:
        """Steps besides the files and the services."""
        return []

    configure_needs: tuple[str, ...] = ("machine",)

    def every_file(self) -> list[File]:
        """The role's files and those of its services, each once."""
        found = [*self.files(), *(file for service in self.services() for file in service.files)]
        return list({file.path: file for file in found}.values())

    def service(self, name: str) -> Service:
        return next(service for service in self.services() if service.name == name)

    def steps(self) -> list[Step]:
        steps: list[Step] = [*self.work()]
        configured: tuple[str, ...] = ()
        if self.every_file():
            configured = (f"configure:{self.name}",)
            title = f"configuration of {self.title}"
            steps.append(Files(self.ctx, configured[0], title, self.every_file, self.configure_needs))
        for service in self.services():
            needs = ("supervisor", *configured, *service.after)
            steps.append(ServiceStep(self.ctx, service, needs, partial(self.service, service.name)))
        return steps
