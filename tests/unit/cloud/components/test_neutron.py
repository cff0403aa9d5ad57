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


def test_its_policy_is_loaded_before_the_first_request(tmp_path: Path) -> None:
    neutron = Neutron(Context.at(tmp_path))
    service = neutron.service("neutron-api")
    settings, loaded = (
        next(file for file in service.files if file.path.name == name)
        for name in ("neutron-api.ini", "skerry_neutron_api.py")
    )
    assert "module = skerry_neutron_api:application\n" in settings.content
    assert f"pythonpath = {loaded.path.parent}\n" in settings.content
    assert loaded.content.rstrip().endswith("policy.init()")
