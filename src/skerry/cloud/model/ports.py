"""TCP ports of a cloud. Components declare theirs; the registry has them all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Port:
    """A TCP port. APIs have the ports that the field knows; the rest stays clear of the machine's own services.

    One with a ``socket`` (a path below the cloud's run) is no port, but a Unix socket on the control host that other
    hosts reach like one. ``shared``: other hosts reach it too, through the gateway, where they ask for it by its name.
    ``clients`` are the users that connect to it on this host; None: everybody may. With a ``last`` it is a range.
    ``guests`` reach it, at this host's end of the external network.
    ``between_hosts``: in a cloud of several hosts it is open at the host's address, with TLS or SSH, and not on loopback.
    """

    name: str
    number: int = 0
    shared: bool = False
    between_hosts: bool = False
    socket: str = ""
    clients: tuple[str, ...] | None = None
    last: int = 0
    guests: bool = False

    @property
    def numbers(self) -> str:
        """Its number, or FIRST-LAST."""
        return f"{self.number}-{self.last}" if self.last else str(self.number)
