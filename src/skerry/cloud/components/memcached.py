"""memcached: the cache, as a private instance."""

from __future__ import annotations

from skerry.cloud.components.base.component import Role
from skerry.cloud.model import ports
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import Service


class Memcached(Role):
    name = "memcached"
    title = "the cache (memcached)"
    packages = ("memcached",)

    def services(self) -> list[Service]:
        argv = (
            self.ctx.platform.program("memcached"),
            "-l",
            "127.0.0.1",
            "-p",
            str(ports.MEMCACHED),
            "-m",
            "32",
            "-t",
            "1",
            "-c",
            "512",
        )
        probe = TcpProbe(ports.MEMCACHED)
        return [Service("memcached", argv, probe, title=self.title, after=("packages",), cost=0.2)]
