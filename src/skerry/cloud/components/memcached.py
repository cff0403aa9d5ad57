"""memcached: the cache, as a private instance."""

from __future__ import annotations

from skerry.cloud.components.base.component import Component
from skerry.cloud.model.ports import Port
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import Service


class Memcached(Component):
    name = "memcached"
    title = "the cache (memcached)"
    packages = ("memcached",)
    ports = (Port("memcached", 21211),)

    def services(self) -> list[Service]:
        argv = (
            self.ctx.platform.program("memcached"),
            "-l",
            "127.0.0.1",
            "-p",
            str(self.ctx.port("memcached")),
            "-m",
            "32",
            "-t",
            "1",
            "-c",
            "512",
        )
        probe = TcpProbe(self.ctx.port("memcached"))
        return [Service("memcached", argv, probe, title=self.title, after=("packages",), cost=0.2)]
