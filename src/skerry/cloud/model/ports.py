"""TCP ports of a cloud. Components declare theirs; the registry has them all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Port:
    """A TCP port. APIs have the ports that the field knows; the rest stays clear of the machine's own services.

    ``shared``: other hosts reach it too, through the gateway, where they ask for it by its name. ``between_hosts``: in a
    cloud of several hosts it is open at the host's address, with TLS or SSH, and not on loopback.
    """

    name: str
    number: int
    shared: bool = False
    between_hosts: bool = False
