"""What destroy leaves and removes, as far as it can be known without a cloud."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.samples.three_hosts import at

from skerry.cloud.operations.destroy import _remove_mount_points


@pytest.mark.parametrize(
    ("host", "removed", "kept"),
    [
        ("one", {"/etc/swift", "/etc/barbican"}, {"/etc/libvirt"}),
        ("two", {"/etc/libvirt"}, {"/etc/swift", "/etc/barbican"}),
    ],
)
def test_mount_points_of_a_hosts_own_components_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, removed: set[str], kept: set[str]
) -> None:
    """Also those of components that the cloud no longer has; and a host knows no secrets of the others."""
    tried: set[str] = set()
    monkeypatch.setattr(Path, "rmdir", lambda path: tried.add(str(path)))
    _remove_mount_points(at(tmp_path, None if host == "one" else host))
    assert removed <= tried and not kept & tried
