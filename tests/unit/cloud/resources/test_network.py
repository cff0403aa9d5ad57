"""What a fresh cloud, and one of an older version, is missing for networks that neutron makes by itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.samples.three_hosts import at

from skerry.cloud.resources.network import Network


class FakeNeutron:
    """As much of neutron as is asked."""

    def __init__(self, **more: Any) -> None:
        self.have = {"default": False, "pools": [], **more}
        self.did: list[tuple[str, Any]] = []

    def networks(self) -> list[SimpleNamespace]:
        owner = self.have.get("owner", "p1")
        public = SimpleNamespace(id="n1", name="public", is_default=self.have["default"], project_id="p1")
        return [public, SimpleNamespace(id="n2", name="private", is_default=None, project_id=owner)]

    def subnets(self, **query: str) -> list[SimpleNamespace]:
        assert query == {"project_id": "p1"}
        return [SimpleNamespace(name="public"), SimpleNamespace(name="private")]

    def subnet_pools(self) -> list[SimpleNamespace]:
        return list(self.have["pools"])

    def find_network(self, name: str, **query: str) -> SimpleNamespace:
        return next(item for item in self.networks() if item.name == name)

    def find_subnet(self, name: str, **query: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, id=f"s-{name}")

    def find_router(self, name: str, **query: str) -> SimpleNamespace:
        return SimpleNamespace(id="r1", external_gateway_info={"network_id": "n1"})

    def find_security_group(self, name: str, **query: str) -> SimpleNamespace:
        return SimpleNamespace(id="g1")

    def ports(self, **query: str) -> list[str]:
        return ["one"]

    def security_group_rules(self, **query: str) -> list[SimpleNamespace]:
        rules = (("icmp", None), ("tcp", 22))
        return [SimpleNamespace(protocol=protocol, port_range_min=port) for protocol, port in rules]

    def update_network(self, network: SimpleNamespace, **changes: Any) -> None:
        self.did.append((network.name, changes))

    def create_subnet_pool(self, **given: Any) -> None:
        self.did.append(("pool", given))


def step(root: Path, neutron: FakeNeutron) -> Network:
    ctx = at(root, text="")
    ctx.__dict__["api"] = SimpleNamespace(network=neutron, current_project_id="p1")
    return Network(ctx)


def pool(version: int, default: bool) -> SimpleNamespace:
    return SimpleNamespace(ip_version=version, is_default=default)


def test_an_older_cloud_gets_what_an_automatic_network_needs(tmp_path: Path) -> None:
    neutron = FakeNeutron()
    wanted = step(tmp_path, neutron)
    assert [str(change) for change in wanted.look()] == [
        "make network public the default one",
        "create subnet pool default: 10.64.0.0/16",
    ]
    wanted.apply(print)
    assert neutron.did == [
        ("public", {"is_default": True}),
        (
            "pool",
            {
                "name": "default",
                "prefixes": ["10.64.0.0/16"],
                "default_prefix_length": 26,
                "is_shared": True,
                "is_default": True,
            },
        ),
    ]


@pytest.mark.parametrize(
    ("pools", "left"),
    [([pool(4, True)], False), ([pool(6, True)], True), ([pool(4, False)], True)],
)
def test_an_operators_own_pool_is_enough(tmp_path: Path, pools: list[SimpleNamespace], left: bool) -> None:
    neutron = FakeNeutron(default=True, pools=pools)
    wanted = step(tmp_path, neutron)
    assert bool(wanted.look()) is left
    wanted.apply(print)
    assert bool(neutron.did) is left


def test_a_network_of_the_same_name_in_another_project_is_not_the_clouds(tmp_path: Path) -> None:
    neutron = FakeNeutron(default=True, pools=[SimpleNamespace(ip_version=4, is_default=True)], owner="p2")
    assert [str(change) for change in step(tmp_path, neutron).look()] == ["create network private"]


@pytest.mark.parametrize(
    ("lines", "gateway", "pool"),
    [
        ("", "172.24.4.1", ("172.24.4.2", "172.24.4.254")),
        ('gateway = "172.24.4.254"', "172.24.4.254", None),
        ('pool = ["172.24.4.10", "172.24.4.20"]', "172.24.4.1", ("172.24.4.10", "172.24.4.20")),
    ],
)
def test_addresses_of_the_external_network(
    tmp_path: Path, lines: str, gateway: str, pool: tuple[str, str] | None
) -> None:
    neutron = FakeNeutron(default=True, pools=[SimpleNamespace(ip_version=4, is_default=True)])
    found = neutron.find_subnet
    made: dict[str, Any] = {}
    neutron.find_subnet = lambda name, **query: None if name == "public" else found(name)  # type: ignore[assignment]
    neutron.create_subnet = lambda **given: made.update(given)  # type: ignore[attr-defined]
    text = f'[[host]]\nexternal_interface = "eth1"\n[external]\n{lines}\n'
    ctx = at(tmp_path, text=text)
    ctx.__dict__["api"] = SimpleNamespace(network=neutron, current_project_id="p1")
    Network(ctx).apply(print)
    wanted = [{"start": pool[0], "end": pool[1]}] if pool else None
    assert (made["gateway_ip"], made.get("allocation_pools")) == (gateway, wanted)
