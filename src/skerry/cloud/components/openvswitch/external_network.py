"""The host's side of the external network: a wire into the switch, an address, forwarding and NAT."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step, Unknown

EXTERNAL = "br-ex"  # the bridge to the external network
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def addresses(ctx: Context, link: str) -> list[str]:
    """The addresses of an interface that is up, as ADDRESS/LENGTH."""
    shown = ctx.platform.run(["ip", "-json", "address", "show", "dev", link], check=False)
    found = json.loads(shown.stdout)[0] if shown.returncode == 0 else {}
    return [f"{a['local']}/{a['prefixlen']}" for a in found.get("addr_info", ()) if "UP" in found["flags"]]


class ExternalNetwork(Step):
    """Guests on the external network and the host reach each other, and guests get out under the host's address.

    The wire is a veth pair and not the bridge's own interface: with the datapath in userspace that one
    is gone, with its address, whenever the switch restarts. Transmit checksums are computed by the kernel on
    both ends, because the userspace datapath hands on what it reads.
    """

    name = "external-network"
    title = "the host's way to the external network"
    needs = ("start:ovs-vswitchd", "chassis")
    cost = 0.5
    live = True

    BRIDGE = EXTERNAL
    INSIDE = "skerry-ext"  # the end that has the host's address
    PORT = "skerry-ext-ovs"  # the end in the switch
    TABLE = "skerry"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    @property
    def gateway(self) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
        """The host's address on the network: its first."""
        network = self.ctx.cloud.external.cidr
        return ipaddress.ip_interface(f"{network[1]}/{network.prefixlen}")

    def _rules(self) -> str:
        cidr = self.ctx.cloud.external.cidr
        return f"""table ip {self.TABLE} {{
	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr {cidr} ip daddr != {cidr} masquerade
	}}
}}
"""

    def check(self) -> list[Change]:
        run = self.ctx.platform.run
        bridges = run([*self.ctx.layout.vsctl, "list-ports", self.BRIDGE], check=False, timeout=30)
        if bridges.returncode and "no bridge" not in bridges.stderr:
            raise Unknown("the switch's database does not answer")
        changes = []
        if self.PORT not in bridges.stdout.split():
            changes.append(Change(f"connect the host to bridge {self.BRIDGE}"))
        if str(self.gateway) not in addresses(self.ctx, self.INSIDE):
            changes.append(Change(f"give {self.INSIDE} the address", after=str(self.gateway)))
        if self.ctx.cloud.external.nat:
            if FORWARDING.read_text().strip() != "1":
                changes.append(Change("net.ipv4.ip_forward", "0", "1"))
            if f"ip saddr {self.ctx.cloud.external.cidr}" not in self._loaded():
                changes.append(Change("address translation for guests (nftables)"))
        elif self._loaded():
            changes.append(Change("remove address translation for guests (nftables)"))
        return changes

    def _loaded(self) -> str:
        shown = self.ctx.platform.run(["nft", "list", "table", "ip", self.TABLE], check=False)
        return shown.stdout if shown.returncode == 0 else ""

    def apply(self, say: Callable[[str], None]) -> None:
        run = self.ctx.platform.run
        if run(["ip", "link", "show", self.INSIDE], check=False).returncode:
            run(["ip", "link", "add", self.INSIDE, "type", "veth", "peer", "name", self.PORT])
        for end in (self.INSIDE, self.PORT):
            run(["ethtool", "-K", end, "tx", "off"], check=False)
            run(["ip", "link", "set", end, "up"])
        run(["ip", "address", "replace", str(self.gateway), "dev", self.INSIDE])
        kind = self.datapath_of_integration()
        bridge = [
            "--may-exist",
            "add-br",
            self.BRIDGE,
            "--",
            "set",
            "bridge",
            self.BRIDGE,
            f"datapath_type={kind}",
        ]
        run([*self.ctx.layout.vsctl, *bridge, "--", "--may-exist", "add-port", self.BRIDGE, self.PORT])
        self.remove_translation()
        if self.ctx.cloud.external.nat:
            saved = self.ctx.layout.state / "ip_forward.before"
            if not saved.exists():
                self.ctx.platform.write(saved, FORWARDING.read_text())
            FORWARDING.write_text("1\n")
            run(["nft", "-f", "-"], input=self._rules())

    def datapath_of_integration(self) -> str:
        shown = self.ctx.platform.run(
            [*self.ctx.layout.vsctl, "get", "Open_vSwitch", ".", "external_ids:ovn-bridge-datapath-type"]
        )
        return shown.stdout.strip().strip('"')

    def remove_translation(self) -> None:
        self.ctx.platform.run(["nft", "delete", "table", "ip", self.TABLE], check=False)

    def undo(self) -> None:
        """Take the wire, the NAT and the forwarding away again (forwarding as it was before)."""
        self.remove_translation()
        for link in (self.INSIDE, *self._left_by_switch()):
            self.ctx.platform.run(["ip", "link", "delete", link], check=False)
        saved = self.ctx.layout.state / "ip_forward.before"
        before = self.ctx.platform.read(saved)
        if before is not None:
            FORWARDING.write_text(before)
            self.ctx.platform.remove(saved)

    def _left_by_switch(self) -> list[str]:
        """Devices that a userspace switch leaves to the kernel when it ends: its bridges' and its datapath's own."""
        query = [
            "Open_vSwitch",
            {"op": "select", "table": "Bridge", "where": [], "columns": ["name", "datapath_type"]},
        ]
        database = self.ctx.layout.state / "ovs/conf.db"
        shown = self.ctx.platform.run(["ovsdb-tool", "query", str(database), json.dumps(query)], check=False)
        rows = json.loads(shown.stdout)[0]["rows"] if shown.returncode == 0 else []
        bridges = [str(row["name"]) for row in rows if row["datapath_type"] == "netdev"]
        return [*bridges, "ovs-netdev"] if bridges else []
