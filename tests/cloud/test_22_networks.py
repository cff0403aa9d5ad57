"""What users expect of networks: forwarded ports, names, limits, networks of the site."""

from __future__ import annotations

import base64
import hashlib
import secrets
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.cloud import Servers
from tests.support.deadlines import at_most
from tests.support.samples.provider import OFFICE

if TYPE_CHECKING:
    from tests.support.cloud import Cloud, Within

# The office beyond the machine's second interface: a switch, with a machine that is in VLAN 120 at first.
NEIGHBOURS = """
ip link add eth2 type veth peer name trunk
ip netns add office; ip link add desk type veth peer name eth0 netns office
for link in trunk desk; do ip link set $link group 29547 up; ethtool -K $link tx off; done
ip netns exec office ethtool -K eth0 tx off
ip -n office address add 192.0.2.1/24 dev eth0; ip -n office link set eth0 up
switch="ovs-vsctl --db=unix:$1/run/skerry/ovs/db.sock"
kind=$($switch get bridge br-int datapath_type)
$switch add-br office -- set bridge office datapath_type=$kind \\
  -- add-port office trunk -- add-port office desk tag=120
"""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 22), 3)"


# As much as nova takes; it proves that it is whole by its own checksum, in a file.
USER_DATA = f"#!/bin/sh\n#{secrets.token_hex(24_000)}\nsha256sum <$0 >/run/sum\n"


@pytest.fixture(scope="module")
def plain(whole: Cloud) -> Iterator[Any]:
    """A server without a floating address, and with long user data."""
    servers = Servers(whole)
    with whole.host.network():
        server = servers("plain", user_data=base64.b64encode(USER_DATA.encode()).decode())
    yield server
    with whole.host.network():
        servers.remove_all()


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


def test_long_user_data_arrives_whole(cloud: Cloud, servers: Servers, plain: Any, within: Within) -> None:
    address = str(servers.floating_ip(plain).floating_ip_address)
    cloud.ssh(address)
    whole = hashlib.sha256(USER_DATA.encode()).hexdigest()
    try:
        within(120, "it has run", lambda: whole in cloud.try_ssh(address, "cat /run/sum").stdout)
    except AssertionError as late:
        console = cloud.api.compute.get_server_console_output(plain)["output"]
        raise AssertionError(f"{late}; the console: {console[-2000:]}") from None


def test_a_limit_of_the_rate_holds_on_the_wire(
    cloud: Cloud, servers: Servers, plain: Any, within: Within
) -> None:
    address = str(servers.floating_ip(plain).floating_ip_address)
    cloud.ssh(address)
    network = cloud.api.network

    def seconds() -> float:
        """How long half a megabyte takes from the server to here."""
        while True:
            started = time.monotonic()
            if len(cloud.try_ssh(address, "head -c 524288 /dev/zero", timeout=at_most(60)).stdout) == 524288:
                return time.monotonic() - started

    port = next(iter(network.ports(device_id=plain.id)))
    policy = network.create_qos_policy(name="slow")
    servers.undo.append(lambda: network.delete_qos_policy(policy))
    network.create_qos_bandwidth_limit_rule(policy, max_kbps=250, max_burst_kbps=200, direction="egress")
    least = (524288 * 8 / 1000 - 200) / 250  # 16 s; the burst passes at once
    within(60, "nothing limits it yet", lambda: seconds() < least)
    network.update_port(port, qos_policy_id=policy.id)
    servers.undo.append(lambda: network.update_port(port, qos_policy_id=None))
    within(60, "the limit holds", lambda: seconds() > least)
    network.update_port(port, qos_policy_id=None)
    within(60, "it is as fast as before", lambda: seconds() < least)


def test_a_trunk_carries_a_second_network_in_a_vlan(
    cloud: Cloud, servers: Servers, plain: Any, within: Within
) -> None:
    address = str(servers.floating_ip(plain).floating_ip_address)
    network, undo = cloud.api.network, servers.undo.append
    second = network.create_network(name="second")
    undo(lambda: network.delete_network(second))
    subnet = network.create_subnet(network_id=second.id, ip_version=4, cidr="10.98.0.0/24")
    router = network.find_router("router", ignore_missing=False)
    network.add_interface_to_router(router, subnet_id=subnet.id)
    undo(lambda: network.remove_interface_from_router(router, subnet_id=subnet.id))
    inner = network.create_port(network_id=second.id)
    undo(lambda: network.delete_port(inner))
    outer = next(iter(network.ports(device_id=plain.id)))
    vlan = {"port_id": inner.id, "segmentation_type": "vlan", "segmentation_id": 77}
    trunk = network.create_trunk(port_id=outer.id, sub_ports=[vlan])
    undo(lambda: network.delete_trunk(trunk))
    mine = f"{inner.fixed_ips[0]['ip_address']}/24"
    commands = (
        "ip link add link eth0 name eth0.77 type vlan id 77",
        f"ip link set eth0.77 address {inner.mac_address} up",
        f"ip address add {mine} dev eth0.77",
    )
    cloud.ssh(address, " && ".join(f"sudo {command}" for command in commands))
    ping = "ping -c 1 -W 2 -I eth0.77 10.98.0.1"
    within(
        60, "the router of the second network answers", lambda: cloud.try_ssh(address, ping).returncode == 0
    )
    cloud.ssh(address, "sudo ip link delete eth0.77")


def test_a_vlan_of_the_office(cloud: Cloud, servers: Servers, within: Within) -> None:
    file = cloud.root / "etc/skerry/cloud.toml"
    before = file.read_text()
    switch = ["ovs-vsctl", f"--db=unix:{cloud.root}/run/skerry/ovs/db.sock"]
    try:
        file.write_text(before + OFFICE)
        refused = cloud.run("up", check=False)
        assert (
            refused.returncode == 4
            and "provider 'office': this machine has no interface 'eth2'" in refused.stderr
        )
        cloud.host.run(["sh", "-ec", NEIGHBOURS, "sh", str(cloud.root)])
        planned = cloud.run("plan").stdout
        assert "eth2:br-eth2" in planned and "provider networks" in planned
        cloud.run("up", timeout=300)
        assert cloud.run("plan").stdout.strip() == "Nothing would change."
        office = cloud.api.network.find_network("office", ignore_missing=False)
        assert (office.provider_network_type, office.provider_segmentation_id) == ("vlan", 120)
        desk = servers("desk", networks=[{"uuid": office.id}])
        (port,) = cloud.api.network.ports(device_id=desk.id)
        address = port.fixed_ips[0]["ip_address"]
        assert 100 <= int(address.split(".")[-1]) <= 199

        def answers() -> bool:
            inside = ["ip", "netns", "exec", "office", sys.executable, "-c", CONNECT, address]
            return bool(cloud.host.run(inside, check=False).returncode == 0)

        within(120, "a machine of the office reaches the server", answers)
        cloud.host.run([*switch, "set", "port", "desk", "tag=7"])
        assert not answers(), "another VLAN is another network"
    finally:
        servers.remove_all()
        if office := cloud.api.network.find_network("office"):
            cloud.api.network.delete_network(office)
        file.write_text(before)
        cloud.run("up", timeout=300)
        cloud.host.run(["ip", "netns", "delete", "office"], check=False)
    bridges = cloud.host.run(
        ["ovs-vsctl", f"--db=unix:{cloud.root}/run/skerry/ovs/db.sock", "list-br"]
    ).stdout
    assert "br-eth2" not in bridges.split()
    assert cloud.run("plan").stdout.strip() == "Nothing would change."
