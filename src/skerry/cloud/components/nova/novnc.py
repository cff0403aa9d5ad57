"""The pages of noVNC, out of Debian's package: installing it would bring node.js, which they do not need."""

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
        return self._folder / "usr/share/novnc"

    def check(self) -> list[Change]:
        return [] if (self.pages / "vnc_lite.html").exists() else [Change("unpack noVNC's pages")]

    def apply(self, say: Callable[[str], None]) -> None:
        kept = next(self.ctx.layout.cache.glob("novnc_*.deb"), None)
        package = kept or self.download()
        self.ctx.platform.run(["dpkg-deb", "-x", str(package), str(self._folder)])

    def download(self) -> Path:
        """Fetch the package into the cloud's cache, where ``apply`` finds it."""
        cache = self.ctx.layout.cache
        work = cache / "novnc"
        self.ctx.platform.remove(work)
        self.ctx.platform.make_folder(work, mode=0o777)
        self.ctx.platform.run(["sh", "-c", f"cd '{work}' && apt-get -q download novnc"])
        package = next(work.glob("novnc_*.deb"))
        self.ctx.platform.run(["mv", str(package), str(cache)])
        self.ctx.platform.remove(work)
        return cache / package.name
