"""The pages of noVNC, unpacked from its package: installing that would bring node.js, which they do not need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step


class NoVNC(Step):
    name = "novnc"
    title = "the pages of noVNC"
    needs = ("packages",)
    cost = 0.5

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self._folder = ctx.layout.state / "novnc"

    @property
    def pages(self) -> Path:
        return self._folder / self.ctx.platform.share.relative_to("/") / "novnc"

    def check(self) -> list[Change]:
        return [] if (self.pages / "vnc_lite.html").exists() else [Change("unpack noVNC's pages")]

    def apply(self, report: Callable[[str], None]) -> None:
        self.ctx.platform.packages.unpack(self.downloaded() or self.download(), self._folder)

    def downloaded(self) -> Path | None:
        """The package in the cloud's cache; None when it is missing."""
        return self.ctx.platform.packages.downloaded("novnc", self.ctx.layout.cache)

    def download(self) -> Path:
        """Download the package into the cloud's cache, where ``apply`` finds it."""
        return self.ctx.platform.packages.download("novnc", self.ctx.layout.cache)
