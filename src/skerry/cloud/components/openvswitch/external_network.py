"""The host's side of the external network: a wire into the switch, an address, forwarding and NAT."""

from __future__ import annotations

import json
from collections.abc import Callable

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step, Unknown
from skerry.cloud.model import external_link


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

    BRIDGE = external_link.BRIDGE
    INSIDE = external_link.INSIDE
    PORT = external_link.PORT
    TABLE = "skerry"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self._network = ctx.platform.network
        # Whether the host has forwarded before, for when the cloud is taken down.
        self._forwarded = ctx.layout.forwarded_before

    def check(self) -> list[Change]:
        run = self.ctx.platform.run
        bridges = run([*self.ctx.layout.vsctl, "list-ports", self.BRIDGE], check=False, timeout=30)
        if bridges.returncode and "no bridge" not in bridges.stderr:
            raise Unknown("the switch's database does not answer")
        if self.ctx.cloud.external.gateway:
            left = (
                self._network.has_interface(self.INSIDE) or self._network.translated(self.TABLE) is not None
            )
            missing = [Change(f"make bridge {self.BRIDGE}")] if bridges.returncode else []
            return [
                *missing,
                *([Change("remove the host's own end of the external network")] if left else []),
            ]
        changes = []
        if self.PORT not in bridges.stdout.split():
            changes.append(Change(f"connect the host to bridge {self.BRIDGE}"))
        if str(self.ctx.cloud.external.end) not in self._network.addresses(self.INSIDE):
            changes.append(Change(f"give {self.INSIDE} the address", after=str(self.ctx.cloud.external.end)))
        translated = self._network.translated(self.TABLE)
        if self.ctx.cloud.external.translates:
            if not self._network.forwards():
                changes.append(Change("forwarding of IPv4", "off", "on"))
            if translated != str(self.ctx.cloud.external.cidr):
                changes.append(Change("address translation for guests"))
        elif translated is not None:
            changes.append(Change("remove address translation for guests"))
        return changes

    def apply(self, report: Callable[[str], None]) -> None:
        network, vsctl = self._network, self.ctx.layout.vsctl
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
        if self.ctx.cloud.external.gateway:
            self.ctx.platform.run([*vsctl, *bridge, "--", "--if-exists", "del-port", self.BRIDGE, self.PORT])
            self._remove_end()
            return
        if not network.has_interface(self.INSIDE):
            network.make_pair(self.INSIDE, self.PORT)
        for end in (self.INSIDE, self.PORT):
            network.fill_in_checksums(end)
            network.set_up(end)
        network.give_address(self.INSIDE, str(self.ctx.cloud.external.end))
        port = ["--may-exist", "add-port", self.BRIDGE, self.PORT]
        self.ctx.platform.run([*vsctl, *bridge, "--", *port])
        if not self.ctx.cloud.external.translates:
            self._stop_routing()
            return
        if not self._forwarded.exists():
            self.ctx.platform.write(self._forwarded, f"{int(network.forwards())}\n")
        network.set_forwarding(True)
        network.translate(self.TABLE, str(self.ctx.cloud.external.cidr))

    def datapath_of_integration(self) -> str:
        shown = self.ctx.platform.run(
            [*self.ctx.layout.vsctl, "get", "Open_vSwitch", ".", "external_ids:ovn-bridge-datapath-type"]
        )
        return shown.stdout.strip().strip('"')

    def undo(self) -> None:
        """Remove the wire and the NAT again; forwarding is as it was before."""
        self._remove_end()
        for link in self._left_by_switch():
            self._network.delete_interface(link)

    def _remove_end(self) -> None:
        self._stop_routing()
        self._network.delete_interface(self.INSIDE)

    def _stop_routing(self) -> None:
        self._network.stop_translating(self.TABLE)
        before = self.ctx.platform.read(self._forwarded)
        if before is not None:
            self._network.set_forwarding(before.strip() != "0")
            self.ctx.platform.remove(self._forwarded)

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
