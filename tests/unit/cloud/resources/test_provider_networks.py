"""Provider networks that neutron is missing are made once, and those that differ are named."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.samples.provider import OFFICE
from tests.support.samples.three_hosts import at

from skerry.cloud.components.neutron import Neutron
from skerry.cloud.components.openvswitch.uplinks import Uplinks
from skerry.cloud.components.ovn.component import Chassis
from skerry.cloud.resources.provider_networks import ProviderNetworks
from skerry.common.errors import StepError


class FakeNeutron:
    """As much of neutron as is asked."""

    def __init__(self) -> None:
        self.made: dict[str, SimpleNamespace] = {}
        self.subnetworks: list[dict[str, Any]] = []

    def find_network(self, name: str, **query: str) -> SimpleNamespace | None:
        assert query == {"project_id": "p1"}
        return self.made.get(name)

    def create_network(self, **given: Any) -> SimpleNamespace:
        given = {"id": f"id-{given['name']}", "provider_segmentation_id": None, **given}
        self.made[given["name"]] = SimpleNamespace(**given)
        return self.made[given["name"]]

    def subnets(self, network_id: str) -> list[str]:
        return [row["name"] for row in self.subnetworks if row["network_id"] == network_id]

    def create_subnet(self, **given: Any) -> None:
        self.subnetworks.append(given)


@pytest.fixture
def neutron() -> FakeNeutron:
    return FakeNeutron()


@pytest.fixture
def step(tmp_path: Path, neutron: FakeNeutron) -> ProviderNetworks:
    ctx = at(tmp_path, text=OFFICE)
    ctx.__dict__["api"] = SimpleNamespace(network=neutron, current_project_id="p1")
    return ProviderNetworks(ctx)


def test_made_once(step: ProviderNetworks, neutron: FakeNeutron) -> None:
    assert [str(change) for change in step.look()] == ["create network office: eth2, VLAN 120"]
    step.apply(print)
    made = neutron.made["office"]
    assert (made.provider_network_type, made.provider_physical_network, made.is_shared) == (
        "vlan",
        "eth2",
        True,
    )
    (subnet,) = neutron.subnetworks
    assert subnet["allocation_pools"] == [{"start": "192.0.2.100", "end": "192.0.2.199"}]
    assert (subnet["gateway_ip"], subnet["is_dhcp_enabled"]) == ("192.0.2.1", True)
    assert step.look() == []
    neutron.subnetworks.clear()
    assert [str(change) for change in step.look()] == ["create subnet office: 192.0.2.0/24"]
    step.apply(print)
    assert step.look() == [] and list(neutron.made) == ["office"]


def test_another_vlan_is_another_network(step: ProviderNetworks, neutron: FakeNeutron) -> None:
    step.apply(print)
    neutron.made["office"].provider_segmentation_id = 7
    with pytest.raises(
        StepError, match=r"network 'office' is eth2, 7 in the cloud and eth2, VLAN 120 in cloud.toml"
    ):
        step.look()


def test_the_switch_and_neutron_know_its_interface(tmp_path: Path) -> None:
    plain, with_it = at(tmp_path / "1", text=""), at(tmp_path / "2", text=OFFICE)
    assert Uplinks(with_it)._wanted() == {"br-eth2": "eth2"} and Uplinks(plain)._wanted() == {}
    assert Chassis(with_it)._wanted()["ovn-bridge-mappings"] == "eth2:br-eth2,public:br-ex"
    assert Chassis(plain)._wanted()["ovn-bridge-mappings"] == "public:br-ex"
    settings = Neutron(with_it).settings()
    assert settings["ml2_type_flat"]["flat_networks"] == ["public", "eth2"]
    assert settings["ml2_type_vlan"]["network_vlan_ranges"] == ["eth2:1:4094"]
