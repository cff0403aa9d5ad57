"""What 'up' brings: everything ready, nothing left to do, and a first server that is a good one."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from typing import TYPE_CHECKING

from tests.support.deadlines import at_most
from tests.support.machines import ADDRESS, WORLD

if TYPE_CHECKING:
    from tests.support.cloud import Cloud


def test_a_killed_up_goes_on(whole: Cloud) -> None:
    assert set(whole.killed.values()) == {-9 + 256} or set(whole.killed.values()) == {-9}
    shown = whole.up()
    assert "The cloud 'skerry' is up" in shown
    assert "Log in" in shown and "ssh -i" in shown


def test_all_services_are_ready(cloud: Cloud) -> None:
    missing = {name: service["lack"] for name, service in cloud.status().items() if not service["ready"]}
    assert missing == {}


def test_nothing_is_left_to_do(cloud: Cloud) -> None:
    assert cloud.run("plan").stdout.strip() == "Nothing would change."
    assert json.loads(cloud.run("plan", "--json").stdout) == {"changes": {}, "later": {}}
    assert json.loads(cloud.run("up", "--json").stdout)["changed"] == []


def test_the_client_needs_no_set_up(cloud: Cloud) -> None:
    listed = json.loads(cloud.run("openstack", "server", "list", "-f", "json").stdout)
    assert [(server["Name"], server["Status"]) for server in listed] == [("first", "ACTIVE")]
    agents = json.loads(cloud.run("openstack", "network", "agent", "list", "-f", "json").stdout)
    assert agents and all(agent["Alive"] for agent in agents)


def test_first_server_knows_who_it_is(cloud: Cloud) -> None:
    server = cloud.server("first")
    assert cloud.ssh(cloud.first, "hostname") == "first"
    told = cloud.ssh(cloud.first, "curl -s -m 20 http://169.254.169.254/openstack/latest/meta_data.json")
    facts = json.loads(told)
    assert facts["uuid"] == server.id
    assert facts["name"] == "first"
    assert facts["public_keys"]["skerry"] == (cloud.root / "etc/skerry/id_ed25519.pub").read_text()


def test_console_log_has_the_boot(cloud: Cloud) -> None:
    log = cloud.api.compute.get_server_console_output(cloud.server("first"))["output"]
    assert "skerry-tiny: ready, SSH on 22" in log


def test_guests_get_out_under_the_hosts_address(cloud: Cloud) -> None:
    assert cloud.ssh(cloud.first, f"curl -s -m 20 http://{WORLD}/") == ADDRESS


def test_ssh_verb(cloud: Cloud) -> None:
    assert cloud.run("ssh", "hostname").stdout.strip() == "first"


def test_endpoints_answer(cloud: Cloud) -> None:
    endpoints = json.loads(cloud.run("status", "--json").stdout)["endpoints"]
    for name in ("keystone", "glance-api", "placement", "nova-api", "neutron-api", "horizon"):
        place = urllib.parse.urlsplit(endpoints[name])
        connection = http.client.HTTPConnection(place.netloc, timeout=at_most(30))
        connection.request("GET", place.path or "/")
        assert connection.getresponse().status < 400, name
        connection.close()
