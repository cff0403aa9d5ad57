"""A second person: account, project, quota, credential; a server on a network that neutron makes for the project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openstack
import pytest
from tests.support.deadlines import at_most

if TYPE_CHECKING:
    from tests.support.cloud import Cloud, Within

NAME = "ann"


def created(cloud: Cloud, *words: str) -> dict[str, Any]:
    """What 'user create' reports."""
    return dict(json.loads(cloud.run("user", "create", NAME, "--json", *words).stdout))


@pytest.fixture(scope="module")
def ann(whole: Cloud) -> Iterator[dict[str, Any]]:
    """The person, made once for all tests of this module."""
    out = whole.root.parent / "handed-over"  # what is handed over outlives the cloud
    out.mkdir(exist_ok=True)
    yield created(whole, "--quota", "instances=2", "--quota", "networks=3", "--out", str(out))
    whole.run("user", "delete", NAME, check=False)


def as_ann(cloud: Cloud, *words: str, check: bool = True) -> Any:
    done = cloud.run("openstack", "--as", NAME, *words, "-f", "json", check=check, timeout=180)
    return json.loads(done.stdout) if done.returncode == 0 else done


def test_what_is_made(cloud: Cloud, ann: dict[str, Any]) -> None:
    assert (ann["name"], ann["project"], ann["role"]) == (NAME, NAME, "member")
    assert {"account ann", "project ann", "application credential"} <= set(ann["changed"])
    project = cloud.api.identity.find_project(NAME).id
    assert cloud.api.compute.get_quota_set(project).instances == 2
    assert cloud.api.network.get_quota(project).networks == 3


def test_the_file_that_is_handed_over_is_enough(cloud: Cloud, ann: dict[str, Any]) -> None:
    path = Path(ann["file"])
    assert path == cloud.root.parent / "handed-over/clouds.yaml" and path.stat().st_mode & 0o777 == 0o600
    config = openstack.config.OpenStackConfig(config_files=[str(path)], vendor_files=[], secure_files=[])
    mine = openstack.connection.Connection(config=config.get_one(cloud="skerry"))
    assert [server.name for server in mine.compute.servers()] == [], "not the servers of others"
    with pytest.raises(openstack.exceptions.ForbiddenException):
        list(mine.identity.users())


def test_a_password_opens_the_dashboard(cloud: Cloud, ann: dict[str, Any]) -> None:
    about = json.loads(Path(ann["file"]).read_text().splitlines()[1].removeprefix("# "))
    mine = openstack.connection.Connection(
        auth={
            "auth_url": "http://127.0.0.1:5000/v3",
            "username": about["user"],
            "password": about["password"],
            "project_name": NAME,
            "user_domain_name": about["domain"],
            "project_domain_name": "Default",
        }
    )
    mine.authorize()


def test_again_changes_nothing(cloud: Cloud, ann: dict[str, Any]) -> None:
    assert created(cloud, "--quota", "instances=2")["changed"] == []
    text = Path(ann["file"]).read_text()
    assert created(cloud, "--out", ann["file"])["changed"] == [] and Path(ann["file"]).read_text() == text


def test_what_is_lost_is_made_again(cloud: Cloud, ann: dict[str, Any]) -> None:
    (cloud.etc / f"people/{NAME}.yaml").unlink()
    assert created(cloud)["changed"] == [f"password of {NAME}", "application credential"]
    assert as_ann(cloud, "server", "list") == []
    assert created(cloud, "--out", ann["file"])["changed"] == []


def test_another_role(cloud: Cloud, ann: dict[str, Any]) -> None:
    assert created(cloud, "--role", "reader")["changed"][0] == f"role reader in project {NAME}"
    assert as_ann(cloud, "network", "list") is not None
    refused = as_ann(cloud, "network", "create", "mine", check=False)
    assert refused.returncode != 0 and "policy" in refused.stderr
    assert "application credential" in created(cloud, "--role", "manager")["changed"]
    assert created(cloud, "--role", "member", "--out", ann["file"])["role"] == "member"
    assert created(cloud)["changed"] == []


def test_list(cloud: Cloud, ann: dict[str, Any]) -> None:
    rows = json.loads(cloud.run("user", "list", "--json").stdout)
    assert [(row["name"], row["project"], row["role"]) for row in rows] == [(NAME, NAME, "member")]
    assert NAME in cloud.run("user", "list").stdout


def test_a_slip_of_the_pen(cloud: Cloud, ann: dict[str, Any]) -> None:
    done = cloud.run("openstack", "--as", "anna", "server", "list", check=False)
    assert done.returncode == 12 and "Did you mean 'ann'?" in done.stderr
    done = cloud.run("user", "create", "nova", check=False)
    assert done.returncode == 11 and "of the cloud itself" in done.stderr
    done = cloud.run("restart", "keyston", check=False)
    assert done.returncode == 12 and "Did you mean 'keystone'?" in done.stderr


@pytest.mark.timeout(600)
def test_a_server_on_an_automatic_network(cloud: Cloud, ann: dict[str, Any], within: Within) -> None:
    """No network, no router, no security group was made for the project before."""
    group = as_ann(cloud, "security", "group", "create", "in")["id"]
    rule = ("security", "group", "rule", "create", "--ingress", "--protocol", "icmp", group)
    as_ann(cloud, *rule)
    words = (
        "--image",
        "tiny",
        "--flavor",
        "m1.nano",
        "--nic",
        "auto",
        "--security-group",
        "in",
        "--wait",
    )
    try:
        server = as_ann(cloud, "server", "create", *words, "hers")
        assert server["status"] == "ACTIVE"
        ((network, addresses),) = server["addresses"].items()
        assert network == "auto_allocated_network" and addresses[0].startswith("10.64.")
        floating = as_ann(cloud, "floating", "ip", "create", "public")["floating_ip_address"]
        cloud.run("openstack", "--as", NAME, "server", "add", "floating", "ip", "hers", floating)
        within(
            180,
            "the server answers a ping",
            lambda: cloud.host.run(["ping", "-c", "1", "-W", "2", floating], check=False).returncode == 0,
            1.0,
        )
    finally:
        cloud.run("openstack", "--as", NAME, "server", "delete", "--wait", "hers", check=False)
        for address in as_ann(cloud, "floating", "ip", "list"):
            cloud.run("openstack", "--as", NAME, "floating", "ip", "delete", address["ID"], check=False)
        topology = ("network", "auto", "allocated", "topology", "delete")
        cloud.run("openstack", "--as", NAME, *topology, check=False)


def test_what_she_calls_as_the_cloud_does_is_hers(cloud: Cloud, ann: dict[str, Any]) -> None:
    disk = cloud.host.folder / "disk"
    disk.write_bytes(bytes(1024))
    made = ("image", "create", "--disk-format", "raw", "--container-format", "bare", "--file")
    image = as_ann(cloud, *made, str(disk), "tiny")
    network = as_ann(cloud, "network", "create", "private")
    try:
        assert cloud.run("plan").stdout.strip() == "Nothing would change."
        cloud.run("up", timeout=300)
        assert as_ann(cloud, "image", "show", image["id"])["status"] == "active"
    finally:
        cloud.run("openstack", "--as", NAME, "network", "delete", network["id"])
        cloud.run("openstack", "--as", NAME, "image", "delete", image["id"])


def test_restart(cloud: Cloud, ann: dict[str, Any]) -> None:
    before = cloud.status()["keystone"]["pid"]
    done = json.loads(cloud.run("restart", "keystone", "--json", timeout=at_most(120)).stdout)
    (row,) = done["services"]
    now = cloud.status()["keystone"]
    assert (row["name"], row["pid"]) == ("keystone", now["pid"]) and now["pid"] != before and now["ready"]
    assert cloud.run("plan").stdout.strip() == "Nothing would change."


def test_delete(cloud: Cloud, ann: dict[str, Any]) -> None:
    project = json.loads(cloud.run("user", "delete", NAME, "--json").stdout)["project"]
    assert project == NAME
    assert not (cloud.etc / f"people/{NAME}.yaml").exists()
    assert json.loads(cloud.run("user", "list", "--json").stdout) == []
    assert cloud.run("user", "delete", NAME, check=False).returncode == 12
    cloud.run("openstack", "project", "delete", NAME)
