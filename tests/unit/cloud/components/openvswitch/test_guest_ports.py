"""What keeps the host's own network off interfaces of the switch."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components.openvswitch import guest_ports
from skerry.cloud.platform.debian.network import SWITCH_GROUP


def test_interfaces_that_the_host_gives_to_the_switch_are_kept_with_its_guests_own() -> None:
    script = Path(guest_ports.__file__).with_name("guest_ports.sh").read_text()
    assert f"\nGROUP={SWITCH_GROUP} " in script
