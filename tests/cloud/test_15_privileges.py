"""Who runs what and may what, and what another local user reaches of a cloud."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import CHECKOUT
from tests.support.deadlines import at_most
from tests.support.machines import ADDRESS, WORLD

from skerry.cloud.components import registry
from skerry.cloud.model.users import GROUP, GUEST, USERS

if TYPE_CHECKING:
    from tests.support.cloud import Cloud, Within

KVM = "kvm"
HELPERS = {"nova-compute", "neutron-ovn-metadata-agent"}  # services that start some


@pytest.fixture(scope="module")
def seen(whole: Cloud) -> dict[str, Any]:
    program = CHECKOUT / "tests/support/who_runs.py"
    shown = whole.host.run([sys.executable, str(program), str(whole.root)], timeout=at_most(90)).stdout
    return dict(json.loads(shown))


def test_every_service_has_the_rights_that_it_declares(seen: dict[str, Any]) -> None:
    mains = {row["service"]: row for row in seen["processes"] if row["main"]}
    assert set(mains) == set(seen["declared"])
    for name, wanted in seen["declared"].items():
        row = mains[name]
        assert (row["user"], row["no_new_privs"]) == (wanted["user"], wanted["no_new_privs"]), row
        if wanted["bounding"] is not None:
            assert set(row["bounding"]) == set(wanted["bounding"]), row
            assert set(row["effective"]) <= set(wanted["capabilities"]), row
        if wanted["user"] in USERS:
            assert set(row["groups"]) == {wanted["user"], *USERS[wanted["user"]].every_group}, row


def test_what_services_start_has_no_more(seen: dict[str, Any]) -> None:
    for row in seen["processes"]:
        wanted = seen["declared"].get(row["service"])
        if row["service"] == "guest" or wanted is None or wanted["bounding"] is None:
            continue
        assert set(row["bounding"]) <= set(wanted["bounding"]), row
        allowed = {wanted["user"], *(["root"] if row["service"] in HELPERS else [])}
        assert row["user"] in allowed, row
        assert row["no_new_privs"] or row["service"] in HELPERS, row


def test_guests_are_in_no_group_that_opens_anything(seen: dict[str, Any]) -> None:
    guests = [row for row in seen["processes"] if row["name"].startswith("qemu-system")]
    assert guests
    for row in guests:
        assert row["user"] == GUEST
        assert set(row["groups"]) <= {GUEST, GROUP, KVM}, row
        assert row["effective"] == []


def test_who_is_root(seen: dict[str, Any]) -> None:
    roots = {row["service"] for row in seen["processes"] if row["user"] == "root"}
    assert roots <= {"libvirtd", "virtlogd", "upkeep", *HELPERS}


def test_nobody_reaches_public_apis_only(cloud: Cloud) -> None:
    program = CHECKOUT / "tests/support/nobody.py"
    reached = json.loads(cloud.host.run([sys.executable, str(program)], timeout=at_most(120)).stdout)
    apis = {port.number for part in registry.components() for port in part.apis}
    proxies = {registry.port(name) for name in ("novnc", "serial")}
    assert registry.port("keystone") in reached["ports"]
    assert set(reached["ports"]) <= apis | proxies
    assert reached["sockets"] == []
    internal = {registry.port(name) for name in ("mariadb", "rabbitmq", "rabbitmq-distribution", "epmd")}
    assert internal <= set(reached["tried"]["ports"]), "they were there to be tried"
    assert any(15900 <= port <= 16199 for port in reached["tried"]["ports"]), "a guest's screen, too"
    assert any(name.endswith("ovn/ovn.sock") for name in reached["tried"]["sockets"])


def test_a_guests_user_reaches_no_port_of_the_host(cloud: Cloud) -> None:
    script = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 3)"
    become = ["setpriv", f"--reuid={GUEST}", f"--regid={GUEST}", "--init-groups"]
    for port in (registry.port("keystone"), registry.port("mariadb")):
        done = cloud.host.run([*become, sys.executable, "-c", script, str(port)], check=False)
        assert "ConnectionRefusedError" in done.stderr, port


LISTENER = """
import http.server, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "1024")
        self.end_headers()
        self.wfile.write(bytes(1024))
    def log_message(self, *words):
        print("asked", flush=True)
server = http.server.HTTPServer((sys.argv[1], 7080), Page)
print("there", flush=True)
server.serve_forever()
"""


def fetched(cloud: Cloud, uri: str, within: Within) -> str:
    """What becomes of an image that is to be fetched from an address: its status, or 'refused'."""
    image = cloud.api.image.create_image(
        name="fetched", disk_format="raw", container_format="bare", allow_duplicates=True
    )
    wanted = {"method": {"name": "web-download", "uri": uri}}
    try:
        if not cloud.api.image.post(f"/images/{image.id}/import", json=wanted).ok:
            return "refused"

        def ended() -> bool:
            """Until it begins the image is as it is after a failure: queued."""
            tasks = cloud.api.image.get(f"/images/{image.id}/tasks").json()["tasks"]
            return [task["status"] in ("success", "failure") for task in tasks] == [True]

        within(120, "it has ended", ended)
        return str(cloud.api.image.get_image(image).status)
    finally:
        cloud.api.image.delete_image(image)


@pytest.mark.parametrize("address", ["127.0.0.1", "172.24.4.1", ADDRESS])
def test_no_image_is_fetched_from_what_listens_for_the_host_alone(
    cloud: Cloud, within: Within, address: str
) -> None:
    listener = cloud.host.popen([sys.executable, "-c", LISTENER, address])
    assert listener.process.stdout is not None and listener.process.stdout.readline() == "there\n"
    told = fetched(cloud, f"http://{address}:7080/", within)
    listener.end()
    assert told != "active" and listener.process.stdout.read() == ""


def test_an_image_is_fetched_from_elsewhere(cloud: Cloud, within: Within) -> None:
    assert fetched(cloud, f"http://{WORLD}/", within) == "active"


def test_nobody_reads_what_is_secret(cloud: Cloud) -> None:
    etc = cloud.root / "etc/skerry"
    become = ["setpriv", "--reuid=nobody", "--clear-groups", "--regid=nogroup"]
    script = (
        'find "$@" -type f -readable 2>/dev/null | xargs -r grep -lE "password|secret_key|PRIVATE KEY" ; true'
    )
    places = [str(etc), str(cloud.root / "var/lib/skerry"), str(cloud.root / "var/log/skerry")]
    assert cloud.host.run([*become, "sh", "-c", script, "sh", *places]).stdout == ""


def test_doctor_finds_rules_that_somebody_removed(cloud: Cloud) -> None:
    tables = [
        line for line in cloud.host.run(["nft", "list", "tables"]).stdout.splitlines() if "loopback" in line
    ]
    (table,) = tables
    cloud.host.run(["nft", "flush", *table.split()])
    found = json.loads(cloud.run("doctor", "--json", check=False).stdout)["findings"]
    assert [row["fixable"] for row in found if row["check"] == "loopback"] == [True]
    cloud.run("doctor", "--fix", check=False)
    found = json.loads(cloud.run("doctor", "--json", check=False).stdout)["findings"]
    assert [row for row in found if row["check"] == "loopback"] == []
    assert cloud.run("plan").stdout.strip() == "Nothing would change."
