"""The end of the cloud, and another one from its backup. Nothing can be tested on it after this."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.cloud import downloads
from tests.support.machines import users_left

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cloud import Cloud, Servers


def records(cloud: Cloud) -> dict[str, Any]:
    """What a cloud has on record, of each kind that a user meets."""
    api = cloud.api
    return {
        "servers": {server.id: server.name for server in api.compute.servers(all_projects=True)},
        "images": {image.id: image.checksum for image in api.image.images()},
        "users": {user.id: user.name for user in api.identity.users()},
        "networks": {network.id: network.name for network in api.network.networks()},
        "addresses": {ip.id: ip.floating_ip_address for ip in api.network.ips()},
        "flavors": {flavor.id: flavor.name for flavor in api.compute.flavors()},
        "keys": {key.fingerprint for key in api.compute.keypairs()},
    }


@pytest.fixture(scope="module")
def saved(whole: Cloud) -> tuple[Path, dict[str, Any]]:
    """A backup of the running cloud, and what was on record."""
    file = whole.host.folder / "isle.backup"
    with whole.host.network():
        before = records(whole)
        told = json.loads(whole.run("backup", str(file), "--images", "--json", timeout=180).stdout)
    assert told["verified"] and told["bytes"] == file.stat().st_size and not file.stat().st_mode & 0o077
    shutil.copy(told["key"], whole.host.folder / "backup.key")
    return file, before


def test_a_backup_shows_nothing_of_what_it_holds(cloud: Cloud, saved: tuple[Path, dict[str, Any]]) -> None:
    data = saved[0].read_bytes()
    secrets = json.loads((cloud.etc / "secrets.json").read_text())
    assert secrets["admin"].encode() not in data and b"CREATE TABLE" not in data
    assert data.startswith(b"age-encryption.org/v1")


def test_nothing_is_restored_over_a_cloud(cloud: Cloud, saved: tuple[Path, dict[str, Any]]) -> None:
    refused = cloud.run("restore", str(saved[0]), check=False)
    assert refused.returncode == 11 and "nothing was restored over it" in refused.stderr


def test_destroy_wants_the_word(cloud: Cloud) -> None:
    refused = cloud.run("destroy", check=False)
    assert refused.returncode == 11
    assert "Nothing was removed" in refused.stderr
    assert cloud.server("first").status == "ACTIVE"


def test_destroy_leaves_nothing(cloud: Cloud) -> None:
    cloud.run("destroy", "--yes", "--keep-packages", timeout=180)
    assert cloud.running() == []
    links = {link["ifname"] for link in json.loads(cloud.host.run(["ip", "-j", "link"]).stdout)}
    assert links == {"lo", "eth0"}
    assert cloud.host.run(["ip", "netns"]).stdout.strip() == ""
    assert cloud.host.run(["nft", "list", "ruleset"]).stdout.strip() == ""
    mounted = [line.split()[1] for line in cloud.host.run(["cat", "/proc/mounts"]).stdout.splitlines()]
    assert [place for place in mounted if place.startswith(f"{cloud.root}/")] == []
    assert [path for path in cloud.root.rglob("*") if path.is_file() or "skerry" in path.name] == []
    assert "skerry" not in cloud.host.run(["ls", "/run"]).stdout
    assert users_left(cloud.host) == []


@pytest.mark.timeout(900)
def test_a_backup_is_restored_on_a_bare_machine(
    cloud: Cloud, saved: tuple[Path, dict[str, Any]], servers: Servers
) -> None:
    file, before = saved
    torn = file.with_name("torn")
    torn.write_bytes(file.read_bytes()[:-500])
    refused = cloud.run("restore", str(torn), check=False)
    assert refused.returncode == 11 and not (cloud.etc / "cloud.toml").exists()
    # What 'destroy' removed with the rest, and what a simulated machine cannot download.
    shutil.copytree(downloads(), cloud.root / "var/cache/skerry", ignore=shutil.ignore_patterns("work"))
    cloud.run("restore", str(file), timeout=600)
    assert records(cloud) == before
    assert cloud.run("plan").stdout.strip() == "Nothing would change."
    server = servers("after-the-restore")
    cloud.named(str(servers.floating_ip(server).floating_ip_address), server.name)
    servers.remove_all()
    cloud.run("destroy", "--yes", "--keep-packages", timeout=180)
    assert cloud.running() == []
