"""Interfaces that the host gives to the switch: to external and provider networks, and to the other hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from skerry.cloud.components.openvswitch.external_network import ExternalNetwork
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step, Unknown

MARK = "external_ids:skerry=given"  # of what goes when cloud.toml no longer names it
TUNNELS = "br-tunnel"  # the bridge for tunnels between hosts


class Uplinks(Step):
    """Interfaces that the host gives to the switch: to external and provider networks, and to the other hosts.

    A switch in userspace sends tunnels only through a bridge of its own, which then has the tunnels' address
    (Open vSwitch, "Userspace tunneling").
    """

    name = "wires"
    title = "interfaces for the switch"
    needs = ("start:ovs-vswitchd", "chassis")
    cost = 0.3
    live = True

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def _wanted(self) -> dict[str, str]:
        """Bridge -> interface."""
        host = self.ctx.host
        wanted = {provider.bridge: provider.interface for provider in self.ctx.cloud.provider}
        if host.external_interface:
            wanted[ExternalNetwork.BRIDGE] = host.external_interface
        if host.tunnel_interface and self._kind() == "netdev":
            wanted[TUNNELS] = host.tunnel_interface
        return wanted

    def _kind(self) -> str:
        return ExternalNetwork(self.ctx).datapath_of_integration()

    def _surplus(self, table: str, wanted: Iterable[str]) -> list[str]:
        """What an earlier cloud.toml gave to the switch and this one does not: of its table Port, or Bridge."""
        ours = ["--bare", "--columns=name", "find", table, MARK]
        shown = self.ctx.platform.run([*self.ctx.layout.vsctl, *ours], check=False, timeout=30)
        if shown.returncode:
            raise Unknown("the switch's database does not answer")
        return sorted(set(shown.stdout.split()) - set(wanted))

    def _left(self) -> tuple[list[str], list[str]]:
        """Interfaces, and bridges of provider networks, that cloud.toml no longer names."""
        bridges = {provider.bridge for provider in self.ctx.cloud.provider}
        return self._surplus("Port", self._wanted().values()), self._surplus("Bridge", bridges)

    def check(self) -> list[Change]:
        host, run, network = self.ctx.host, self.ctx.platform.run, self.ctx.platform.network
        interfaces, bridges = self._left()
        changes = [Change(f"give interface {interface} back to the host") for interface in interfaces]
        changes += [Change(f"remove bridge {bridge}") for bridge in bridges]
        if not (host.external_interface or host.tunnel_interface or self.ctx.cloud.provider):
            return changes
        for bridge, interface in self._wanted().items():
            if not network.has_interface(interface):
                raise Unknown(f"host {host.name} has no interface {interface}, which cloud.toml names")
            there = run([*self.ctx.layout.vsctl, "list-ports", bridge], check=False, timeout=30)
            if there.returncode and "no bridge" not in there.stderr:
                raise Unknown("the switch's database does not answer")
            if interface not in there.stdout.split():
                changes.append(Change(f"give interface {interface} to bridge {bridge}"))
            elif not network.is_left_to_switch(interface):
                changes.append(Change(f"keep the host's own network off interface {interface}"))
        if TUNNELS in self._wanted() and host.tunnel not in network.addresses(TUNNELS):
            changes.append(Change(f"give {TUNNELS} the address", after=host.tunnel))
        return changes

    def apply(self, report: Callable[[str], None]) -> None:
        run, network, kind = self.ctx.platform.run, self.ctx.platform.network, self._kind()
        interfaces, bridges = self._left()
        for interface in interfaces:
            run([*self.ctx.layout.vsctl, "--if-exists", "del-port", interface])
            network.take_back(interface)
        for bridge in bridges:
            run([*self.ctx.layout.vsctl, "--if-exists", "del-br", bridge])
        marked = {provider.bridge for provider in self.ctx.cloud.provider}
        for bridge, interface in self._wanted().items():
            made = ["--may-exist", "add-br", bridge, "--", "set", "bridge", bridge, f"datapath_type={kind}"]
            made += [MARK] if bridge in marked else []
            network.fill_in_checksums(interface)
            network.set_up(interface)
            network.leave_to_switch(interface)
            port = ["--may-exist", "add-port", bridge, interface, "--", "set", "port", interface, MARK]
            run([*self.ctx.layout.vsctl, *made, "--", *port])
        if TUNNELS in self._wanted():
            host = self.ctx.host
            network.remove_addresses(host.tunnel_interface)
            network.give_address(TUNNELS, host.tunnel)
            network.set_up(TUNNELS)

    def undo(self) -> None:
        """Give the interfaces back to the host."""
        host, network = self.ctx.host, self.ctx.platform.network
        given = {provider.interface for provider in self.ctx.cloud.provider}
        for interface in sorted(given | {host.external_interface, host.tunnel_interface} - {""}):
            if network.is_left_to_switch(interface):
                network.take_back(interface)
