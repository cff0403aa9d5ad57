"""Which services a host runs: by the features of cloud.toml, and by the roles of its hosts."""

from __future__ import annotations

from pathlib import Path

from tests.support.samples.three_hosts import at, services

from skerry.cloud.operations import graph


def test_swift_comes_with_its_feature_only(tmp_path: Path) -> None:
    assert not [name for name in services(at(tmp_path / "a", text="")) if "swift" in name]
    ctx = at(tmp_path / "b", text='features = ["swift"]\n')
    names = {name for name in services(ctx) if "swift" in name}
    assert names >= {
        "swift-proxy-server",
        "swift-account-server",
        "swift-container-server",
        "swift-object-server",
    }


def test_the_control_plane_is_on_one_host(tmp_path: Path) -> None:
    one, two = services(at(tmp_path / "one")), services(at(tmp_path / "two", "two"))
    assert {"mariadb", "rabbitmq", "nova-api", "neutron-api", "ovn-northd"} <= one
    assert "nova-compute" not in one and "libvirtd" not in one
    assert {
        "link",
        "libvirtd",
        "nova-compute",
        "ovn-controller",
        "ovn-arrivals",
        "neutron-ovn-metadata-agent",
    } <= two
    assert not two & {
        "mariadb",
        "rabbitmq",
        "keystone",
        "nova-conductor",
        "neutron-api",
        "ovn-northd",
        "haproxy",
    }


def test_one_host_alone_has_all_as_before(tmp_path: Path) -> None:
    names = services(at(tmp_path, text=""))
    assert {"mariadb", "nova-compute", "libvirtd", "haproxy", "neutron-ovn-metadata-agent"} <= names
    assert not names & {"link", "ovn-arrivals"}, "no other host, no arrivals"
    assert not [step for step in graph.graph(at(tmp_path, text="")).steps if step.startswith("host:")]
