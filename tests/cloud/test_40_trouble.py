"""Services that are killed, the cloud that is stopped, the plug that is pulled."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support import CHECKOUT
from tests.support.deadlines import at_most

from skerry.cloud.platform.choice import platform_of

if TYPE_CHECKING:
    from tests.support.cloud import Cloud, Servers

READY_AGAIN = 20  # seconds, by the promise of 'up'
SERVICES = (
    "mariadb",
    "rabbitmq",
    *(f"memcached-{theme}" for theme in ("identity", "servers", "network", "image", "web")),
    "haproxy",
    "ovsdb",
    "ovs-vswitchd",
    *(("ovs-guestports",) if platform_of().network.datapath == "netdev" else ()),
    "ovn-ovsdb",
    "ovn-northd",
    "ovn-controller",
    "virtlogd",
    "libvirtd",
    "keystone",
    "glance-api",
    "placement",
    "nova-api",
    "nova-metadata",
    "nova-conductor",
    "nova-scheduler",
    "nova-compute",
    "nova-novncproxy",
    "nova-serialproxy",
    "neutron-api",
    "neutron-periodic-workers",
    "neutron-ovn-maintenance-worker",
    "neutron-ovn-metadata-agent",
    "horizon",
    "upkeep",
)


def test_every_service_is_killed_below(cloud: Cloud) -> None:
    assert sorted(cloud.status()) == sorted(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_a_killed_service_is_ready_again(cloud: Cloud, name: str) -> None:
    program = CHECKOUT / "tests/support/ready_again.py"
    argv = [sys.executable, str(program), str(cloud.root), name, str(READY_AGAIN)]
    told = json.loads(cloud.host.run(argv, timeout=at_most(90)).stdout)
    assert told["before"] is None, f"{name} was not ready before the test"
    assert told["lack"] is None, f"{name} is not ready {READY_AGAIN} s after a kill: {told['lack']}"


def test_the_cloud_works_after_all_those_kills(cloud: Cloud, servers: Servers) -> None:
    cloud.named(cloud.first, "first", 20)  # guests live on
    server = servers("afterwards")
    address = str(servers.floating_ip(server).floating_ip_address)
    cloud.named(address, "afterwards")
    assert json.loads(cloud.run("up", "--json", timeout=300).stdout)["changed"] == []


def test_up_waits_until_nova_has_found_its_libvirt_again(cloud: Cloud, servers: Servers) -> None:
    cloud.host.run(["kill", "-9", str(cloud.status()["libvirtd"]["pid"])])
    cloud.run("up", timeout=120)
    assert servers("at-once").status == "ACTIVE"


def leave_a_mark(cloud: Cloud, text: str) -> None:
    cloud.ssh(cloud.first, f"echo {text} | sudo tee /var/mark && sync")


def all_is_back(cloud: Cloud, text: str) -> None:
    cloud.all_ready(30)
    assert cloud.server("first").status == "ACTIVE"
    cloud.named(cloud.first, "first")
    assert cloud.ssh(cloud.first, "cat /var/mark") == text


@pytest.mark.timeout(900)
def test_down_and_up(cloud: Cloud) -> None:
    leave_a_mark(cloud, "before down")
    cloud.run("down", timeout=180)
    assert cloud.running() == [], "no process is left after 'down'"
    cloud.up()
    all_is_back(cloud, "before down")


@pytest.mark.timeout(900)
def test_the_pulled_plug(cloud: Cloud, servers: Servers) -> None:
    leave_a_mark(cloud, "before the plug")
    cloud.host.power_off()
    cloud.host.power_on()
    with cloud.host.network():  # a machine that boots has a network that is new
        cloud.up()
        all_is_back(cloud, "before the plug")
        address = str(servers.floating_ip(server := servers("fresh")).floating_ip_address)
        cloud.named(address, server.name)
        servers.remove_all()
