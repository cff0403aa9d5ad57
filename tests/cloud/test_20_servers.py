"""What users do with servers: most of it with three that are made once. Each test leaves the others as they were."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import websocket
from tests.support.cloud import Servers
from tests.support.deadlines import at_most

if TYPE_CHECKING:
    from tests.support.cloud import Cloud, Within

NAMES = ("one", "two", "three")


@pytest.fixture(scope="module")
def three(whole: Cloud) -> Iterator[dict[str, Any]]:
    """Servers one, two and three, asked for at once: for all tests that leave them as they are."""
    with whole.host.network():
        servers = Servers(whole)
        drive = {"config_drive": True, "metadata": {"colour": "grey"}}
        begun = {name: servers.begin(name, **(drive if name == "three" else {})) for name in NAMES}
        found = {name: whole.wait_status(server, "ACTIVE") for name, server in begun.items()}
    yield found
    with whole.host.network():
        servers.remove_all()


def test_three_servers_at_once_are_reached_on_the_private_network(
    cloud: Cloud, three: dict[str, Any]
) -> None:
    for server in three.values():
        cloud.guest_reaches(cloud.address(server))


def test_guests_have_the_smaller_share_of_busy_processors(cloud: Cloud, three: dict[str, Any]) -> None:
    guests = [process.pid for process in cloud.host.processes() if process.name().startswith("qemu-system")]
    shares = [Path(f"/proc/{pid}/autogroup") for pid in guests]
    if not all(share.exists() for share in shares):
        pytest.skip("this kernel shares the processors between processes, not sessions")
    assert len(shares) >= 3 and {tuple(share.read_text().split()[1:]) for share in shares} == {("nice", "5")}


def test_floating_address_moves(cloud: Cloud, servers: Servers, three: dict[str, Any]) -> None:
    floating = servers.floating_ip(three["one"])
    address = str(floating.floating_ip_address)
    cloud.named(address, "one")
    network = cloud.api.network
    network.update_ip(floating, port_id=next(iter(network.ports(device_id=three["two"].id))).id)
    cloud.named(address, "two", 60)


def test_security_group_blocks_and_opens(
    cloud: Cloud, servers: Servers, three: dict[str, Any], within: Within
) -> None:
    network = cloud.api.network
    address = str(servers.floating_ip(three["two"]).floating_ip_address)
    within(60, "port 22 is open", lambda: cloud.accepts(address, 22))
    port = next(iter(network.ports(device_id=three["two"].id)))
    group = network.create_security_group(name="closed")
    servers.undo.append(lambda: network.delete_security_group(group))

    def give_back() -> None:
        network.update_port(port.id, security_groups=port.security_group_ids)

    servers.undo.append(give_back)
    network.update_port(port.id, security_groups=[group.id])
    within(15, "port 22 closes with a group without rules", lambda: not cloud.accepts(address, 22))
    rule = network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", protocol="tcp", port_range_min=22, port_range_max=22
    )
    within(15, "port 22 opens with the rule", lambda: cloud.accepts(address, 22))
    network.delete_security_group_rule(rule)
    within(15, "port 22 closes without the rule", lambda: not cloud.accepts(address, 22))


def test_a_guest_has_its_address_for_itself(cloud: Cloud) -> None:
    """Nobody, such as the host that has the other end of its wire, answers to the guest's own address (RFC 4862)."""
    shown = cloud.ssh(cloud.address(cloud.server("first"), "floating"), "ip -6 address show dev eth0")
    assert "scope link" in shown and "dadfailed" not in shown


def test_config_drive(cloud: Cloud, servers: Servers, three: dict[str, Any]) -> None:
    address = str(servers.floating_ip(three["three"]).floating_ip_address)
    cloud.named(address, "three")
    command = "sudo mkdir -p /mnt/c && sudo mount -o ro -t iso9660 /dev/sr0 /mnt/c"
    cloud.ssh(address, f"mountpoint -q /mnt/c || {{ {command}; }}")
    facts = json.loads(cloud.ssh(address, "cat /mnt/c/openstack/latest/meta_data.json"))
    assert facts["uuid"] == three["three"].id
    assert facts["meta"] == {"colour": "grey"}


def test_an_interface_is_plugged_into_a_running_server(
    cloud: Cloud, servers: Servers, three: dict[str, Any], within: Within
) -> None:
    address = str(servers.floating_ip(three["one"]).floating_ip_address)
    cloud.named(address, "one")
    network = cloud.api.network.find_network("private", ignore_missing=False)
    compute = cloud.api.compute
    plugged = compute.create_server_interface(three["one"], net_id=network.id)
    within(30, "the guest has a second interface", lambda: "eth1" in cloud.ssh(address, "ls /sys/class/net"))
    lease = cloud.ssh(address, "sudo ip link set eth1 up; sudo udhcpc -f -q -n -t 20 -T 1 -i eth1 2>&1; true")
    assert plugged.fixed_ips[0]["ip_address"] in lease, "its network answers within 20 s"
    compute.delete_server_interface(plugged, server=three["one"])
    within(30, "it is unplugged", lambda: "eth1" not in cloud.ssh(address, "ls /sys/class/net"))


def test_novnc_token(cloud: Cloud) -> None:
    console = cloud.api.compute.create_console(cloud.server("first"), console_type="novnc")
    url = str(console["url"])
    with urllib.request.urlopen(url, timeout=at_most(30)) as page:
        assert b"core/rfb.js" in page.read()
    parts = urllib.parse.urlsplit(url)
    path = urllib.parse.parse_qs(parts.query)["path"][0]
    link = _websocket(parts, path)
    try:
        assert link.recv()[:4] in (b"RFB ", "RFB ")
    finally:
        link.close()
    stranger = re.sub(r"token=[0-9a-f]", "token=0", path)
    stranger = stranger if stranger != path else re.sub(r"token=0", "token=1", path)
    refused = None
    with suppress(websocket.WebSocketException, OSError):
        refused = _websocket(parts, stranger).recv()
    assert not refused, "a token that nobody was given opens nothing"


def test_serial_console(cloud: Cloud, within: Within) -> None:
    console = cloud.api.compute.create_console(cloud.server("first"), console_type="serial")
    link = websocket.create_connection(str(console["url"]), timeout=at_most(20), subprotocols=["binary"])
    try:
        heard: list[bytes] = []

        def prompt() -> bool:
            link.send_binary(b"\n")
            part = link.recv()
            heard.append(part if isinstance(part, bytes) else part.encode())
            return b"login:" in b"".join(heard)

        within(30, "the console asks for a login", prompt)
    finally:
        link.close()


def _websocket(parts: urllib.parse.SplitResult, path: str) -> Any:
    place = f"ws://{parts.netloc}/{path.lstrip('/')}"
    return websocket.create_connection(
        place, timeout=at_most(20), subprotocols=["binary"], origin=f"http://{parts.netloc}"
    )


def test_resize(cloud: Cloud, servers: Servers, three: dict[str, Any]) -> None:
    server = three["one"]
    address = str(servers.floating_ip(server).floating_ip_address)
    small = int(cloud.ssh(address, "awk '/MemTotal/ {print $2}' /proc/meminfo"))
    cloud.ssh(address, "echo kept | sudo tee /var/kept && sync")
    compute = cloud.api.compute
    compute.resize_server(server, compute.find_flavor("m1.tiny").id)
    cloud.wait_status(server, "VERIFY_RESIZE")
    compute.confirm_server_resize(server)
    cloud.wait_status(server, "ACTIVE")
    assert compute.get_server(server.id).flavor["original_name"] == "m1.tiny"
    assert int(cloud.ssh(address, "awk '/MemTotal/ {print $2}' /proc/meminfo")) > small + 100_000
    assert cloud.ssh(address, "cat /var/kept") == "kept"


def test_snapshot_boots_as_another_server(cloud: Cloud, servers: Servers, three: dict[str, Any]) -> None:
    address = str(servers.floating_ip(three["two"]).floating_ip_address)
    cloud.ssh(address, "echo from the original | sudo tee /var/kept && sync")
    api = cloud.api
    image = api.compute.create_server_image(three["two"], name="snapshot", wait=True, timeout=at_most(180))
    servers.undo.append(lambda: cloud.api.image.delete_image(image.id, ignore_missing=True))
    assert api.image.get_image(image.id).status == "active"
    copy = servers("copy", image_id=image.id)
    place = str(servers.floating_ip(copy).floating_ip_address)
    cloud.named(place, "copy")
    assert cloud.ssh(place, "cat /var/kept") == "from the original"


def test_rescue_and_back(cloud: Cloud, three: dict[str, Any]) -> None:
    compute = cloud.api.compute
    compute.rescue_server(three["two"])
    cloud.wait_status(three["two"], "RESCUE")
    compute.unrescue_server(three["two"])
    cloud.wait_status(three["two"], "ACTIVE")


def test_delete_leaves_nothing(cloud: Cloud, servers: Servers, three: dict[str, Any], within: Within) -> None:
    server = three["three"]
    domain = str(cloud.api.compute.get_server(server.id).instance_name or "")
    folder = cloud.root / "var/lib/skerry/nova/instances" / server.id
    (port,) = cloud.api.network.ports(device_id=server.id)
    assert folder.is_dir()
    assert domain in cloud.virsh("list", "--name")
    taps = {name for name in cloud.switch_ports() if port.id[:11] in name}
    assert taps, "the server has a port in the switch"
    servers.delete(server)
    assert list(cloud.api.network.ports(device_id=server.id)) == []
    within(30, "the domain is gone", lambda: server.id not in cloud.virsh("list", "--all", "--uuid"))
    within(30, "the disk's folder is gone", lambda: not folder.exists())
    within(30, "its ports in the switch are gone", lambda: not taps & cloud.switch_ports())
    links = {link["ifname"] for link in json.loads(cloud.host.run(["ip", "-j", "link"]).stdout)}
    assert not [name for name in links if port.id[:11] in name]
