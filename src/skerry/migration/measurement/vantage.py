"""A place among the servers: a port of their private network on the prober's host, in a network namespace of its own.

From there a server answers as to its neighbours. Its floating address takes another way, through the router of the host
that it is bound to, and may come back later or sooner.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from skerry.common.errors import SkerryError
from skerry.common.wait import wait_for
from skerry.migration.plan import PREFIX
from skerry.migration.site import Site

NAME = f"{PREFIX}vantage"
INTERFACE = "vantage"
NAMESPACE = Path("/run/netns") / NAME
BOUND = 60.0  # seconds for neutron to report that the port is there


class Vantage:
    """A port on the network of this id, as a context manager; what a killed run left goes first.

    Its value is the file of the namespace, or None where the prober's host is no part of the servers' networks.
    Raises NotReadyError when the port does not become active, CommandError.
    """

    def __init__(self, api: Any, site: Site, network: str) -> None:
        self._network, self._site, self._where = api.network, site, network

    def __enter__(self) -> Path | None:
        if self._site.run(
            self._site.here, [*self._site.vsctl, "br-exists", "br-int"], check=False
        ).returncode:
            return None
        self.take_away()
        try:
            self._plug()
        except BaseException:
            self.take_away()
            raise
        return NAMESPACE

    def __exit__(self, *_: object) -> None:
        with suppress(SkerryError):
            self.take_away()

    def _plug(self) -> None:
        network = self._network.get_network(self._where)
        port = self._network.create_port(
            name=NAME,
            network_id=network.id,
            device_owner="network:probe",
            binding_host_id=self._site.here,
            is_port_security_enabled=False,  # a port without a security group
        )
        (address,) = [one for one in port.fixed_ips if "." in one["ip_address"]]
        length = self._network.get_subnet(address["subnet_id"]).cidr.rpartition("/")[2]
        self._do("ip", "netns", "add", NAME)
        self._do(
            *(*self._site.vsctl, "add-port", "br-int", INTERFACE, "--", "set", "Interface", INTERFACE),
            *("type=internal", f'mac="{port.mac_address}"', f"external_ids:iface-id={port.id}"),
        )
        self._do("ip", "link", "set", INTERFACE, "netns", NAME)
        inside = ("ip", "-n", NAME)
        self._do(
            *inside, "link", "set", INTERFACE, "address", port.mac_address, "mtu", str(network.mtu), "up"
        )
        self._do(*inside, "address", "add", f"{address['ip_address']}/{length}", "dev", INTERFACE)
        wait_for("the prober's port among the servers", lambda: self._missing(port.id), BOUND)

    def _missing(self, port: str) -> str | None:
        status = self._network.get_port(port).status
        return None if status == "ACTIVE" else f"neutron reports that it is {status}"

    def take_away(self) -> None:
        """Remove port, interface and namespace, whichever run made them."""
        self._do(*self._site.vsctl, "--if-exists", "del-port", "br-int", INTERFACE)
        if NAMESPACE.exists():
            self._do("ip", "netns", "delete", NAME)
        for port in list(self._network.ports(name=NAME)):
            self._network.delete_port(port.id, ignore_missing=True)

    def _do(self, *argv: str) -> None:
        self._site.run(self._site.here, argv)
