"""What users expect of networks: forwarded ports, names of the servers of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.cloud import Servers

if TYPE_CHECKING:
    from tests.support.cloud import Cloud, Within


@pytest.fixture
def plain(servers: Servers) -> Any:
    """A server without a floating address."""
    return servers("plain")


def test_one_floating_address_forwards_a_port(
    cloud: Cloud, servers: Servers, plain: Any, within: Within
) -> None:
    network = cloud.api.network
    port = next(iter(network.ports(device_id=plain.id)))
    public = network.find_network("public", ignore_missing=False)
    floating = network.create_ip(floating_network_id=public.id)
    servers.undo.append(lambda: network.delete_ip(floating))
    address = str(floating.floating_ip_address)
    forwarding = network.create_floating_ip_port_forwarding(
        floating,
        internal_port_id=port.id,
        internal_ip_address=port.fixed_ips[0]["ip_address"],
        internal_port=22,
        external_port=2222,
        protocol="tcp",
    )
    within(60, "the forwarded port answers", lambda: cloud.accepts(address, 2222))
    assert not cloud.accepts(address, 22), "only the forwarded port is open"
    network.delete_floating_ip_port_forwarding(floating, forwarding)
    within(15, "the port closes with its forwarding", lambda: not cloud.accepts(address, 2222))


def test_servers_resolve_each_other(cloud: Cloud, plain: Any, within: Within) -> None:
    network = cloud.api.network
    port = next(iter(network.ports(device_id=plain.id)))
    assert port.dns_name == "plain"
    address = port.fixed_ips[0]["ip_address"]
    first = cloud.address(cloud.server("first"), "floating")
    for name in ("plain", "plain.skerry.internal"):
        command = f"nslookup {name} 2>&1; true"
        within(30, f"{name} is resolved", lambda command=command: address in cloud.ssh(first, command))
