"""What hosts do not offer to guests."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from tests.support.samples.three_hosts import at

from skerry.cloud.components.nova import reserved
from skerry.cloud.components.nova.reserved import COMPUTE_MIB, CONTROL_MIB, disk_mib, memory_mib

Usage = namedtuple("Usage", "total used free")
GIB = 1 << 30


def test_memory_is_what_the_services_take(tmp_path: Path) -> None:
    one = memory_mib(at(tmp_path / "1", text=""))
    assert one == CONTROL_MIB
    assert memory_mib(at(tmp_path / "2", text='features = ["heat", "swift"]\n')) == one + 600
    assert memory_mib(at(tmp_path / "3", text="[sizes]\nworkers = 3\n")) == one + 800
    assert memory_mib(at(tmp_path / "4", "two")) == COMPUTE_MIB


def given(monkeypatch: pytest.MonkeyPatch, total: float, free: float) -> None:
    """A disk of so many GiB."""
    reserved._disk_mib.cache_clear()
    monkeypatch.setattr(
        shutil,
        "disk_usage",
        lambda place: Usage(int(total * GIB), int((total - free) * GIB), int(free * GIB)),
    )


def test_disk_that_others_have_taken_is_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instances, config = tmp_path / "instances", tmp_path / "00-skerry.conf"
    given(monkeypatch, 20, 8)
    assert disk_mib(instances, config) == (12 + 2) * 1024
    given(monkeypatch, 100, 60)
    assert disk_mib(instances, config) == (40 + 5) * 1024
    given(monkeypatch, 10, 0.5)
    assert disk_mib(instances, config) == 10 * 1024, "no more than there is"


def test_what_servers_have_taken_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instances = tmp_path / "instances"
    (instances / "one").mkdir(parents=True)
    (instances / "one/disk").write_bytes(b"x" * (4 << 20))
    given(monkeypatch, 20, 8)
    assert disk_mib(instances, tmp_path / "none") == (12 + 2) * 1024 - 4


@pytest.mark.parametrize(("free", "kept"), [(8, True), (10, True), (4, True), (14, False)])
def test_the_number_stays_until_it_is_far_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, kept: bool
) -> None:
    """Each other number restarts nova-compute."""
    config = tmp_path / "00-skerry.conf"
    config.write_text("[DEFAULT]\nreserved_host_disk_mb = 14336\n")
    given(monkeypatch, 20, free)
    assert (disk_mib(tmp_path / "instances", config) == 14336) == kept
