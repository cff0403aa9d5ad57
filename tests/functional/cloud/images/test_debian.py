"""The Debian guest, built and booted for real (emulated, so that it takes minutes)."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from skerry.cloud.images import debian

if TYPE_CHECKING:
    from tests.functional.cloud.images.conftest import Guest, Yard

SERVER = "0a6f5f1e-31c5-4a0c-9d43-6f5a1c1b0001"


@pytest.fixture(scope="module")
def disk(work: Path) -> Path:
    """The image, built once per state of the builder."""
    if not shutil.which("mmdebstrap"):
        pytest.skip("not installed: mmdebstrap")
    state = hashlib.sha256(Path(debian.__file__).read_bytes()).hexdigest()[:8]
    held = list((work / f"debian-{state}").glob("*.qcow2"))
    return held[0] if held else debian.build(work / f"debian-{state}", work, print).disk


def booted(yard: Yard, disk: Path) -> Guest:
    facts = yard.metadata(SERVER, "rock.example.org", "#!/bin/sh\necho once >>/var/tmp/count\n")
    guest = yard.boot(
        yard.disk("one", disk, "8G"), ["-m", "1024", "-uuid", SERVER, *yard.config_drive("drive", facts)]
    )
    guest.wait_login(300, "debian")
    return guest


def test_first_boot(yard: Yard, disk: Path) -> None:
    guest = booted(yard, disk)
    assert "status: done" in guest.ssh("sudo cloud-init status --wait", "debian")
    assert guest.ssh("hostname; cat /var/tmp/count", "debian") == "rock\nonce"
    assert guest.ssh("systemctl --failed --quiet --no-legend", "debian") == ""
    assert int(guest.ssh("df -k --output=size / | tail -1", "debian")) > 7_500_000, "the disk has grown"
    assert "login:" in guest.wait_console(60, "login:")
    guest.power_off(90)


@pytest.mark.long
def test_it_boots_again_from_what_its_own_tools_write(yard: Yard, disk: Path) -> None:
    guest = booted(yard, disk)
    guest.ssh("sudo update-grub && sudo grep -q console=ttyS0,115200 /boot/grub/grub.cfg", "debian")
    guest.ssh("sudo systemctl --no-block reboot", "debian")
    guest.wait_down(60)
    guest.wait_login(240, "debian")
    assert guest.ssh("cat /var/tmp/count", "debian") == "once"
    guest.power_off(90)
