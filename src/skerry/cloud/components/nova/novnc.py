"""The page of consoles, by noVNC, which is unpacked from its package: installing that would bring node.js.

noVNC's own pages either wait for a click, or report a link that has expired as a connection that was closed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step

PAGE = "console.html"


class NoVNC(Step):
    name = "novnc"
    title = "the page of consoles (noVNC)"
    needs = ("packages",)
    cost = 0.5

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self._folder = ctx.layout.state / "novnc"

    @property
    def pages(self) -> Path:
        return self._folder / self.ctx.platform.share.relative_to("/") / "novnc"

    def check(self) -> list[Change]:
        there = self.ctx.platform.read(self.pages / PAGE) == _page()
        return [] if there else [Change("the page of consoles")]

    def apply(self, report: Callable[[str], None]) -> None:
        self.ctx.platform.packages.unpack(self.downloaded() or self.download(), self._folder)
        self.ctx.platform.write(self.pages / PAGE, _page())

    def downloaded(self) -> Path | None:
        """The package in the cloud's cache; None when it is missing."""
        return self.ctx.platform.packages.downloaded("novnc", self.ctx.layout.cache)

    def download(self) -> Path:
        """Download the package into the cloud's cache, where ``apply`` finds it."""
        return self.ctx.platform.packages.download("novnc", self.ctx.layout.cache)


def _page() -> str:
    return Path(__file__).with_name(PAGE).read_text()
