"""Which platform a host has. A further operating system is a class more in this list."""

from __future__ import annotations

from skerry.cloud.engine.transport import Local, Transport
from skerry.cloud.platform.base import Platform, release_of
from skerry.cloud.platform.debian.system import Debian

PLATFORMS: tuple[type[Platform], ...] = (Debian,)


def platform_of(transport: Transport | None = None) -> Platform:
    """The platform of the host behind ``transport``, without one of this machine.

    A system that is none of ours is taken for the first, which reports that it is not supported.
    """
    host = transport or Local()
    name = release_of(host).get("ID")
    return next((found for found in PLATFORMS if found.name == name), PLATFORMS[0])(host)
