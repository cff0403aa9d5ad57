"""The end of the cloud. Nothing can be tested on it after this."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.cloud import Cloud


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
    assert cloud.host.run(["getent", "passwd", "skerry"], check=False).returncode == 2, "its user is gone"
