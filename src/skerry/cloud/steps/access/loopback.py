"""Who may connect to what on a host of the cloud: a firewall's rules, as a second line.

The first are passwords and the modes of sockets. Guests' user connects to no port of the host at all: whoever breaks
out of a guest does not reach what listens on loopback. Services that fetch what a tenant names (an image, a template)
connect to the ports that they need, and to no address of the cloud's hosts. Guests that are on the external network,
or get out by it, reach of the host what they must; and a host that forwards since there is a cloud on it forwards
for guests only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from ipaddress import ip_interface
from pathlib import Path

from skerry.cloud.components import registry
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.cloud.model import external_link
from skerry.cloud.model.users import GUEST, USERS
from skerry.cloud.platform.base import GuestLink

DNS, LINK_LOCAL = "53", "169.254.0.0/16"


Rules = tuple[str, dict[str, list[str]], list[str], dict[str, list[str]], list[str], GuestLink | None]


class LoopbackRules(Step):
    """The rules are there, and as they were when they were made."""

    name = "loopback"
    title = "who may connect to the cloud's ports"
    needs = ("users", "packages")
    cost = 0.1

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self._network = ctx.platform.network
        self._record = (
            ctx.layout.run / "loopback.json"
        )  # it goes with the rules when the host is switched off

    @property
    def table(self) -> str:
        """Its name: each root's cloud has a table of its own."""
        root = self.ctx.layout.root
        return "skerry_loopback" if root == Path("/") else f"skerry_loopback_{_digest(str(root))[:8]}"

    def ports(self) -> dict[str, list[str]]:
        """Ports, and those of this host's users that may connect to them."""
        here = registry.users(self.ctx)
        limited = [port for port in registry.ports().values() if port.clients is not None]
        return {
            port.numbers: [user for user in port.clients or () if user in here]
            for port in sorted(limited, key=lambda port: port.number)
        }

    def closed(self) -> list[str]:
        """Users that may connect to nothing."""
        return [user for user in registry.users(self.ctx) if user == GUEST]

    def fetching(self) -> dict[str, list[str]]:
        """Users of services that fetch what a tenant names, and the ports of this host that they need."""
        here = [user for user in registry.users(self.ctx) if USERS[user].fetches]
        apis = [str(port.number) for part in registry.in_cloud(self.ctx) for port in part.apis]
        own = {
            user: [port.numbers for port in registry.ports().values() if user in (port.clients or ())]
            for user in here
        }
        return {user: sorted({*apis, *own[user], DNS}, key=int) for user in here}

    def networks(self) -> list[str]:
        """What they must not reach: the hosts of the cloud, and what has an address on its own cable only."""
        addresses = {str(host.address) for host in self.ctx.cloud.host if not host.address.is_loopback}
        tunnels = {str(ip_interface(host.tunnel).network) for host in self.ctx.cloud.host if host.tunnel}
        return [LINK_LOCAL, *sorted(addresses), *sorted(tunnels)]

    def link(self) -> GuestLink | None:
        """What guests reach of this host by the external network; None where the host has no end of it."""
        if not self.ctx.does("network") or self.ctx.cloud.external.gateway:
            return None
        outside: list[str] = []
        if self.ctx.cloud.external.translates and not self._forwards_for_others():
            own = (external_link.INSIDE, external_link.PORT, external_link.BRIDGE)
            outside = [name for name in self._network.outward() if name not in own]
        every = (port for part in registry.present(self.ctx) for port in part.ports)
        return GuestLink(
            external_link.INSIDE,
            offered=tuple(port.numbers for port in every if port.guests),
            hardware=external_link.GUEST_HARDWARE if self.ctx.host.external_interface else "",
            outside=tuple(outside),
        )

    def _forwards_for_others(self) -> bool:
        before = self.ctx.platform.read(self.ctx.layout.forwarded_before)
        return self._network.forwards() if before is None else before.strip() != "0"

    def check(self) -> list[Change]:
        shown = self._network.limited_loopback(self.table)
        if shown is None:
            return [Change(f"limit {len(self.ports())} ports to their users")]
        kept = json.loads(self.ctx.platform.read(self._record) or "{}")
        if kept.get("of") != self._wanted():
            return [
                Change(
                    "limits of the ports to their users, as this version, cloud.toml and the interfaces want them"
                )
            ]
        return (
            [] if kept.get("shown") == shown else [Change("limits of the ports, which somebody has changed")]
        )

    def _wanted(self) -> str:
        return _digest(json.dumps(self._rules(), default=asdict))

    def _rules(self) -> Rules:
        return self.table, self.ports(), self.closed(), self.fetching(), self.networks(), self.link()

    def apply(self, report: Callable[[str], None]) -> None:
        self._network.limit_loopback(*self._rules())
        record = {"of": self._wanted(), "shown": self._network.limited_loopback(self.table)}
        self.ctx.platform.write(self._record, json.dumps(record) + "\n", mode=0o600)

    def undo(self) -> None:
        """Remove the rules, with what they protect."""
        self._network.open_loopback(self.table)
        self.ctx.platform.remove(self._record)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
