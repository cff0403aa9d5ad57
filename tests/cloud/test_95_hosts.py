"""A cloud across three hosts of a lab: one for control and network, two that run servers, reached by a real SSH server."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import openstack
import pytest
from tests.support.browser import logged_in
from tests.support.cloud import Servers, Within
from tests.support.cloud_across_hosts import COMPUTES, Pair, Spread

pytestmark = pytest.mark.timeout(600, func_only=True)


@pytest.fixture
def cloud(spread: Spread) -> Iterator[Spread]:
    with spread.host.network():
        yield spread


def on(host: str) -> dict[str, str]:
    return {"availability_zone": f"nova:{host}"}


def boot_id(cloud: Spread, address: str) -> str:
    return cloud.ssh(address, "cat /proc/sys/kernel/random/boot_id")


def all_report(cloud: Spread) -> None:
    """Every compute host is up in nova's eyes. On a busy machine a report may be late, after 'up' has seen one.

    One that has met a restart of libvirtd switches itself on again with its next report.
    """

    def states() -> bool:
        services = cloud.api.compute.services(binary="nova-compute")
        found = {
            service.host: (service.state, (service.disabled_reason or "")[:4])
            for service in services
            if not service.is_forced_down
        }
        return found == dict.fromkeys(COMPUTES, ("up", ""))

    cloud.within(60, "every compute host reports", states)


def test_every_host_does_its_part(cloud: Spread) -> None:
    all_report(cloud)
    status = json.loads(cloud.run("status", "--json").stdout)
    assert status["ready"]
    for host in COMPUTES:
        names = {row["name"] for row in status["services"] if row["host"] == host}
        assert "nova-compute" in names and "mariadb" not in names


def test_nothing_is_left_to_do(cloud: Spread) -> None:
    assert cloud.run("plan").stdout.strip() == "Nothing would change."


def test_a_host_has_no_more_secrets_than_it_needs(cloud: Spread) -> None:
    all_of_them = json.loads(cloud.host.run(["cat", "/etc/skerry/secrets.json"]).stdout)
    forbidden = [all_of_them[name] for name in ("admin", "db-nova", "db-keystone", "service-glance")]
    for host in COMPUTES:
        for secret in forbidden:
            found = cloud.lab.hosts[host].run(
                ["grep", "-rlF", secret, "/etc", "/var/lib/skerry"], check=False
            )
            assert found.stdout == ""


# Certificates of two hosts that end in a month, in place of theirs.
ENDING = """
import datetime
from skerry.cloud.context import Context
from skerry.cloud.steps import certificates as module
ctx = Context.at("/")
assert module.YEAR > module.RENEW
module.YEAR = datetime.timedelta(days=30)
authority = [(ctx.layout.tls / name).read_text() for name in ("ca.key", "ca.pem")]
for host in ctx.cloud.host[:2]:
    place = ctx.layout.tls / "issued" / host.name
    key, certificate = module.issue(*authority, host.name, str(host.address))
    (place / "host.key").write_text(key)
    (place / "host.pem").write_text(certificate)
"""


def test_certificates_that_end_soon_are_renewed_on_all_hosts(cloud: Spread) -> None:
    def certificates() -> dict[str, str]:
        hosts = {"one": cloud.host, **cloud.lab.hosts}
        return {name: hosts[name].run(["cat", "/etc/skerry/tls/host.pem"]).stdout for name in ("one", "two")}

    before = certificates()
    cloud.host.run([sys.executable, "-c", ENDING])
    done = json.loads(cloud.run("upkeep", "--json", "certificates", timeout=400).stdout)["tasks"][0]
    assert done["outcome"] == "done", done
    assert "new for one, two" in done["text"] and "brought to two" in done["text"]
    after = certificates()
    assert all(after[name] != before[name] for name in before)
    assert json.loads(cloud.run("upkeep", "--json", "certificates").stdout)["tasks"][0]["outcome"] == "idle"
    all_report(cloud)
    assert cloud.run("plan").stdout.strip() == "Nothing would change."


def test_nobody_gets_to_the_control_plane_without_a_certificate(cloud: Spread) -> None:
    script = (
        "import ssl, socket; c = ssl.create_default_context(cafile='/etc/skerry/tls/ca.pem');"
        "s = c.wrap_socket(socket.create_connection(('10.77.0.11', 16643), 5), server_hostname='rabbitmq.one');"
        "s.sendall(b'AMQP\\x00\\x00\\x09\\x01'); print(s.recv(8))"
    )
    tried = cloud.lab.hosts["two"].run(["python3", "-c", script], check=False)
    assert tried.returncode and re.search("certificate required|reset|EOF", tried.stderr, re.IGNORECASE)
    mine = script.replace("s = c.wrap", "c.load_cert_chain('/etc/skerry/tls/both.pem'); s = c.wrap")
    assert cloud.lab.hosts["two"].run(["python3", "-c", mine]).stdout.startswith("b'\\x01")


def test_servers_on_different_hosts_reach_each_other(cloud: Spread, pair: Pair) -> None:
    assert {cloud.place(pair.walker), cloud.place(pair.sitter)} == set(COMPUTES)
    cloud.within(
        60,
        "the server on the other host answers",
        lambda: cloud.try_ssh(pair.walker_at, f"ping -c 1 -W 2 {cloud.address(pair.sitter)}").returncode == 0,
    )


def test_a_running_server_moves_and_comes_back(cloud: Spread, pair: Pair) -> None:
    before = boot_id(cloud, pair.walker_at)
    for goal in ("three", "two"):
        cloud.bring(pair.walker, goal)
        assert boot_id(cloud, pair.walker_at) == before, "it was not booted again"


def test_what_cannot_move_stays(cloud: Spread, pair: Pair) -> None:
    before = cloud.place(pair.walker)
    with pytest.raises(openstack.exceptions.SDKException, match="nowhere"):
        cloud.api.compute.live_migrate_server(pair.walker, host="nowhere", block_migration="auto")
    assert cloud.wait_status(pair.walker, "ACTIVE") and cloud.place(pair.walker) == before


def test_the_dashboard_moves_a_server(cloud: Spread, pair: Pair, within: Within) -> None:
    cloud.bring(pair.walker, "two")
    with logged_in(cloud, within) as browser:
        browser.open(f"/admin/instances/{pair.walker.id}/live_migrate")
        browser.click(".themable-select .dropdown-toggle")
        browser.click(".themable-select li a", "three")
        browser.click("label", "Block Migration")
        browser.click("input[type=submit]")
        browser.find("#instances tbody tr", "walker")
    cloud.within(120, "it runs on three", lambda: cloud.place(pair.walker) == "three")
    cloud.wait_status(pair.walker, "ACTIVE")


def test_a_server_is_resized_onto_another_host(cloud: Spread, pair: Pair) -> None:
    server, address = pair.sitter, pair.sitter_at
    before = cloud.place(server)
    cloud.ssh(address, "echo kept | sudo tee /var/mark && sync")
    compute = cloud.api.compute
    compute.migrate_server(server)
    server = cloud.wait_status(server, "VERIFY_RESIZE")
    compute.confirm_server_resize(server)
    server = cloud.wait_status(server, "ACTIVE")
    assert cloud.place(server) != before
    assert cloud.ssh(address, "cat /var/mark") == "kept"
    compute.resize_server(server, compute.find_flavor("m1.tiny").id)
    server = cloud.wait_status(server, "VERIFY_RESIZE")
    compute.confirm_server_resize(server)
    cloud.wait_status(server, "ACTIVE")
    assert int(cloud.ssh(address, "awk '/MemTotal/ {print $2}' /proc/meminfo")) > 200_000


def test_a_dead_host_is_told_evacuated_and_comes_back(cloud: Spread, pair: Pair) -> None:
    server = pair.walker
    cloud.bring(server, "three")
    cloud.bring(pair.sitter, "two")
    cloud.lab.hosts["three"].power_off()
    told = cloud.run("doctor", check=False, timeout=180)
    assert told.returncode == 9 and "host three does not answer" in told.stdout
    compute = cloud.api.compute
    (service,) = [s for s in compute.services(binary="nova-compute") if s.host == "three"]
    compute.update_service_forced_down(service, forced=True)
    compute.evacuate_server(server)
    cloud.within(120, "it is on two", lambda: cloud.place(server) == "two")
    cloud.wait_status(
        server, "SHUTOFF"
    )  # as nova leaves it from 2.95 on: the operator may first look at the dead host
    compute.start_server(server)
    cloud.wait_status(server, "ACTIVE")
    cloud.named(pair.walker_at, "walker")
    cloud.lab.hosts["three"].power_on()
    cloud.let_in("three")
    cloud.run("up", timeout=300)
    all_report(cloud)
    cloud.all_ready(60)
    running = cloud.lab.hosts["three"].run(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).stdout
    assert "nova-compute" in running and server.id not in running, "it runs in one place only"


def break_off_a_migration(cloud: Spread, host: str) -> None:
    """Let nova's records be as a power cut leaves them, after a server has moved and before its old host noted so."""
    done = next(
        one
        for one in cloud.api.compute.migrations(host=host, status="completed")
        if one.migration_type == "live-migration"
    )
    sql = f"update nova.migrations set status = 'running' where uuid = '{done.uuid}'"
    cloud.host.run(["mariadb", "--socket=/run/skerry/mariadb/mysqld.sock", "-e", sql])


KEPT = "/var/lib/kept"  # what somebody has of a host that left
GATES = (("10.77.0.11", "16643", "rabbitmq.one"), ("10.77.0.12", "16514", "two"))  # the gateway, libvirt
PROVE = """
import socket, ssl, sys
kept, address, port, name = sys.argv[1:]
context = ssl.create_default_context(cafile=f"{kept}/tls/ca.pem")
context.maximum_version = ssl.TLSVersion.TLSv1_2  # its handshake ends with the other end's word
context.load_cert_chain(f"{kept}/tls/both.pem")
try:
    with socket.create_connection((address, int(port)), 10) as plain:
        link = context.wrap_socket(plain, server_hostname=name)
        link.settimeout(5)
        try:
            # libvirt looks at the certificate after the handshake, and sends a byte, or hangs up.
            print("open" if link.recv(1) else "closed")
        except TimeoutError:
            print("open")  # it waits for a word
except (ssl.SSLError, ConnectionError) as error:
    print(error)
"""


def opens(host: Any, address: str, port: str, name: str) -> str:
    """Whether a door of the cloud opens to the certificate that was kept: 'open', or why not."""
    argv = [sys.executable, "-c", PROVE, KEPT, address, port, name]
    return str(host.run(argv, timeout=60).stdout).strip()


@pytest.mark.last
def test_a_host_that_is_named_no_more_is_drained(cloud: Spread, servers: Servers, pair: Pair) -> None:
    server, address = pair.walker, pair.walker_at
    cloud.bring(server, "three")
    before = boot_id(cloud, address)
    off = servers("asleep", **on("three"))
    cloud.api.compute.stop_server(off)
    cloud.wait_status(off, "SHUTOFF", 60)
    break_off_a_migration(cloud, "three")
    three = cloud.lab.hosts["three"]
    three.run(["cp", "-r", "/etc/skerry", KEPT])
    assert {gate: opens(three, *gate) for gate in GATES} == dict.fromkeys(GATES, "open")
    cloud.describe("two")
    planned = cloud.run("plan").stdout
    assert "move server walker away from three" in planned
    assert "end a migration that was broken off" in cloud.run("up", timeout=600).stderr
    assert cloud.place(server) == "two" and boot_id(cloud, address) == before
    assert cloud.place(off) == "two" and cloud.api.compute.get_server(off.id).status == "SHUTOFF"
    assert [s.host for s in cloud.api.compute.services(binary="nova-compute")] == ["two"]
    left = three.run(
        ["sh", "-c", "ls -d /etc/skerry /var/lib/skerry /run/skerry; id skerry-switch"], check=False
    )
    assert left.stdout == ""
    # Whoever has its disk has no way in.
    assert [gate for gate in GATES if opens(three, *gate) == "open"] == []
    knew, now = (
        json.loads(host.run(["cat", f"{place}/secrets.json"]).stdout)
        for host, place in ((three, KEPT), (cloud.host, "/etc/skerry"))
    )
    assert knew and [name for name, value in knew.items() if now[name] == value] == []
    assert "previous" not in now, "each old one was tried, and refused"
    assert cloud.run("plan").stdout.strip() == "Nothing would change."


@pytest.mark.last
def test_wrong_hosts_change_nothing(cloud: Spread) -> None:
    path = "/etc/skerry/cloud.toml"
    good = cloud.host.run(["cat", path]).stdout
    for old, new, told in (
        ('name = "two"', 'name = "tow"', "host 'tow' calls itself 'two'"),
        ("root@10.77.0.12", "root@10.77.0.99", "Host two cannot be reached by SSH"),
        (
            'external_interface = "eth1"\ntransport',
            'external_interface = "eth9"\ntransport',
            "no interface 'eth9'",
        ),
    ):
        assert old in good
        tomllib.loads(good.replace(old, new))
        cloud.host.run(["sh", "-c", f"cat >{path} <<E\n{good.replace(old, new)}E"])
        done = cloud.run("up", check=False, timeout=180)
        cloud.host.run(["sh", "-c", f"cat >{path} <<E\n{good}E"])
        assert done.returncode not in (0, 1) and told in done.stderr
    cloud.run("up", timeout=180)
    with suppress(AssertionError):
        cloud.all_ready(30)
    assert json.loads(cloud.run("status", "--json").stdout)["ready"]
