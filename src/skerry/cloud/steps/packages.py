"""The operating system's packages, remembered for ``destroy``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step


class Packages(Step):
    """The operating system's packages are there, and nothing of their own runs."""

    name = "packages"
    title = "packages of the operating system"
    needs = ("machine",)
    cost = 30.0

    def __init__(self, ctx: Context, packages: Sequence[str]) -> None:
        self.ctx, self.packages = ctx, tuple(packages)

    @property
    def record(self) -> Path:
        """Names of the packages that this machine did not have before."""
        return self.ctx.layout.state / "packages"

    def added(self) -> list[str]:
        """The packages that came for this cloud, and what they need."""
        return (self.ctx.platform.read(self.record) or "").split()

    def check(self) -> list[Change]:
        have = self.ctx.platform.packages.installed(self.packages)
        return [Change(f"install {name}") for name in self.packages if name not in have]

    def apply(self, report: Callable[[str], None]) -> None:
        manager = self.ctx.platform.packages
        before = manager.everything()
        wanted = [change.what.removeprefix("install ") for change in self.check()]
        try:
            manager.install(wanted, report)
        finally:
            added = {*self.added(), *(manager.everything() - before)}
            self.ctx.platform.write(self.record, "\n".join(sorted(added)) + "\n")
