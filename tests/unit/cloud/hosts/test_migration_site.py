"""How compute hosts are configured for a mode of migration, and which of them must not move what runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.cloud.components.libvirt.hypervisor import damaging
from skerry.cloud.config import ini
from skerry.cloud.hosts.migration_site import with_options

OPERATORS = "# Yours.\n[DEFAULT]\ndebug = True\n[libvirt]\nlive_migration_bandwidth = 5\ncpu_mode = none"


def test_options_win_over_the_operators_own_and_leave_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "50-site.conf"
    path.write_text(with_options(OPERATORS, {"live_migration_bandwidth": 32}))
    found = ini.parse(path.read_text(), str(path)).sections
    assert [entry.value for entry in found["libvirt"]["live_migration_bandwidth"]][-1] == "32"
    assert found["libvirt"]["cpu_mode"][-1].value == "none" and found["DEFAULT"]["debug"][-1].value == "True"


def test_an_empty_layer_gets_them_too() -> None:
    assert "[libvirt]\nlive_migration_bandwidth = 0\n" in with_options("", {"live_migration_bandwidth": 0})


@pytest.mark.parametrize(
    ("version", "virt_type", "found"),
    [("7.2.22", "qemu", "7.2"), ("8.2.0", "qemu", "8.2"), ("9.0.0", "qemu", None), ("7.2.22", "kvm", None)],
)
def test_a_qemu_that_damages_busy_guests(version: str, virt_type: str, found: str | None) -> None:
    assert damaging(f"Running hypervisor: QEMU {version}\n", virt_type) == found
