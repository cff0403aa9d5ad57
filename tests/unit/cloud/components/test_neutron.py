"""What neutron is asked to offer."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.cloud.components.base.openstack import Sections
from skerry.cloud.components.neutron import Neutron
from skerry.cloud.context import Context


@pytest.fixture
def settings(tmp_path: Path) -> Sections:
    return Neutron(Context.at(tmp_path)).settings()


def test_ports_of_a_floating_address_can_be_forwarded(settings: Sections) -> None:
    assert "port_forwarding" in settings["DEFAULT"]["service_plugins"]  # type: ignore[operator]
    # neutron refuses to start with forwarding and distributed floating addresses on such project networks
    assert not {"vlan", "flat"} & set(settings["ml2"]["project_network_types"])  # type: ignore[call-overload]


def test_servers_have_names_in_a_domain_that_dhcp_hands_out(settings: Sections) -> None:
    assert "dns_domain_ports" in settings["ml2"]["extension_drivers"]  # type: ignore[operator]
    assert settings["DEFAULT"]["dns_domain"] not in {"", "openstacklocal"}, "DHCP would not hand it out"
