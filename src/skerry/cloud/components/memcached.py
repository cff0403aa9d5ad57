"""memcached: the caches, as private instances.

Whoever writes into a cache has what reads it unpickle anything. So each user whose services cache has an instance of
its own, on a socket in a folder that nobody else enters.
"""

from __future__ import annotations

from skerry.cloud.components import registry
from skerry.cloud.components.base.component import Component
from skerry.cloud.model.secrets import Secret
from skerry.cloud.model.users import GROUP, ROOT, theme
from skerry.cloud.supervise.probes import UnixProbe
from skerry.cloud.supervise.service import Folder, Service

SIZE_MB = 16  # the most that one takes; it begins with 2


class Memcached(Component):
    name = "memcached"
    title = "the caches (memcached)"
    user = ROOT  # of none: each instance has the user of what it serves
    packages = ("memcached",)
    secrets = (Secret("token-cache"),)  # tokens are encrypted with it

    def users(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part.user for part in registry.present(self.ctx) if part.caches))

    def folders(self) -> list[Folder]:
        sockets = {user: self.ctx.layout.cache_socket(theme(user)) for user in self.users()}
        return [
            Folder(self.ctx.layout.run / "memcached", group=GROUP, mode=0o710),
            *(Folder(socket.parent, user, mode=0o700) for user, socket in sockets.items()),
        ]

    def services(self) -> list[Service]:
        return [self._instance(user) for user in self.users()]

    def _instance(self, user: str) -> Service:
        socket = self.ctx.layout.cache_socket(theme(user))
        sizes = ("-m", str(SIZE_MB), "-t", "1", "-c", "512")
        return Service(
            f"memcached-{theme(user)}",
            (self.ctx.platform.program("memcached"), "-s", str(socket), "-a", "0600", *sizes),
            UnixProbe(socket),
            title=f"cache of {user} (memcached)",
            user=user,
            after=("packages",),
            cost=0.2,
        )
