"""What nova-compute's user has of nova's files, and what not."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.samples.three_hosts import at

from skerry.cloud.components.nova.component import Nova
from skerry.cloud.components.nova.compute import NovaCompute
from skerry.cloud.context import Context


def test_it_reads_files_of_its_own_and_no_secret_of_the_control_plane(tmp_path: Path) -> None:
    ctx = Context.at(tmp_path)
    theirs, own = Nova(ctx), NovaCompute(ctx)
    assert {file.path for file in theirs.every_file() if file.secret}.isdisjoint(
        file.path for file in own.every_file()
    )
    assert {file.owner for file in own.every_file() if file.secret} == {"skerry-compute"}
    text = "".join(file.content for file in own.every_file())
    for secret in ("db-nova", "metadata-proxy", "token-cache"):
        assert ctx.secrets[secret] not in text
    assert ctx.secrets["service-nova"] in text and "username = nova\n" in text
    words = own.services()[0].argv
    assert [word for word in words if word.endswith(".conf")] == [str(path) for path in own.config_files()]
    assert all(path.parent == own.etc for path in own.config_files())


@pytest.mark.parametrize("host", [None, "two"], ids=["with the control plane", "alone"])
def test_the_operators_layer_is_copied(tmp_path: Path, host: str | None) -> None:
    ctx = at(tmp_path, host) if host else Context.at(tmp_path)
    site = tmp_path / "etc/skerry/nova/50-site.conf"
    site.parent.mkdir(parents=True)
    site.write_text("[libvirt]\nvirt_type = qemu\n")
    found = {file.path: file for file in NovaCompute(ctx).every_file()}
    copy = found[tmp_path / "etc/skerry/nova-compute/site.conf"]
    assert (copy.content, copy.owner) == (site.read_text(), "skerry-compute")
    assert (site in found) == bool(host), "with the control plane it is of nova's other services"
    assert not host or found[site].owner == "root"


def test_a_host_offers_nothing_that_its_own_services_take(tmp_path: Path) -> None:
    one, other = (NovaCompute(at(tmp_path / name, name)).settings()["DEFAULT"] for name in ("one", "two"))
    memory, disk = "reserved_host_memory_mb", "reserved_host_disk_mb"
    assert int(str(one[memory])) > int(str(other[memory])) > 0
    assert int(str(one[disk])) > 0 and int(str(other[disk])) > 0
