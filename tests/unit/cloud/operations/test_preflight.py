"""What a machine must be: networks and sizes by their meaning on this machine."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from tests.support.samples.three_hosts import at

from skerry.cloud.model import values
from skerry.cloud.model.cloud_toml import load
from skerry.cloud.operations.preflight import (
    ExternalNetworkFree,
    OwnAddress,
    PortsFree,
    SameHost,
    SizesFit,
)

Interfaces = Callable[..., None]


@pytest.fixture
def interfaces(monkeypatch: pytest.MonkeyPatch) -> Interfaces:
    """Gives the machine interfaces: NAME=ADDRESS."""

    def given(**found: str) -> None:
        def row(address: str) -> SimpleNamespace:
            return SimpleNamespace(family=socket.AF_INET, address=address, netmask="255.255.0.0")

        rows = {name.replace("_", "-"): [row(address)] for name, address in found.items()}
        monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"lo": [row("127.0.0.1")], **rows})

    return given


def test_an_external_network_that_the_machine_is_in(tmp_path: Path, interfaces: Interfaces) -> None:
    interfaces(eth0="172.24.9.9")
    problem = ExternalNetworkFree().problem(at(tmp_path, text=""))
    assert problem is not None
    assert "external.cidr = '172.24.4.0/24' overlaps 172.24.0.0/16, which this machine has on eth0" in problem
    better = problem.split("'")[-2]
    assert not values.network("172.24.0.0/16").overlaps(values.network(better))
    assert ExternalNetworkFree().problem(at(tmp_path, text=f"[external]\ncidr = '{better}'")) is None


@pytest.mark.parametrize("own", ["skerry_ext", "br_ex", "tap0"])
def test_the_clouds_own_interface_is_not_in_its_way(tmp_path: Path, interfaces: Interfaces, own: str) -> None:
    interfaces(eth0="10.99.0.1", **{own: "172.24.4.1"})
    assert ExternalNetworkFree().problem(at(tmp_path, text="")) is None


@pytest.mark.parametrize("option", ["database_cache_mb", "api_workers", "workers"])
def test_sizes_beyond_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=8 << 30))
    value = 9999 if option == "database_cache_mb" else 64
    problem = SizesFit().problem(at(tmp_path, text=f"[sizes]\n{option} = {value}"))
    assert problem is not None and f"sizes.{option} = {value} is more than this machine's 8.0 GiB" in problem
    most = problem.rstrip(".").split()[-1]
    assert SizesFit().problem(at(tmp_path, text=f"[sizes]\n{option} = {most}")) is None
    assert SizesFit().problem(at(tmp_path, text="")) is None


def test_a_port_that_another_cloud_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = SimpleNamespace(
        laddr=SimpleNamespace(ip="127.0.0.1", port=5000), status=psutil.CONN_LISTEN, pid=77
    )
    monkeypatch.setattr(psutil, "net_connections", lambda kind: [listener])
    monkeypatch.setattr("skerry.cloud.operations.preflight.cloud_of", lambda pid: Path("/srv/other"))
    problem = PortsFree().problem(at(tmp_path, text=""))
    assert problem == (
        "Port 5000 (keystone) is taken by the cloud under /srv/other: "
        "'sudo ./skerry --root /srv/other down' stops it."
    )


def test_a_service_that_begins_to_listen_takes_no_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sockets are read after the processes that hold them: one that is new in between seems to be nobody's."""
    address = SimpleNamespace(ip="127.0.0.1", port=5000)
    looks = [[SimpleNamespace(laddr=address, status=psutil.CONN_LISTEN, pid=pid)] for pid in (None, 77)]
    monkeypatch.setattr(psutil, "net_connections", lambda kind: looks.pop(0))
    monkeypatch.setattr("skerry.cloud.operations.preflight.service_of", lambda pid, layout: "keystone")
    assert PortsFree().problem(at(tmp_path, text="")) is None
    assert not looks


def context(tmp_path: Path, toml: str, kept: str | None) -> Any:
    path = tmp_path / "cloud.toml"
    path.write_text(toml)
    cloud = load(path).with_name_of_leader(kept)
    platform = SimpleNamespace(read=lambda path: kept)
    return SimpleNamespace(
        cloud=cloud, host=cloud.leader, platform=platform, layout=SimpleNamespace(host_name=Path("x"))
    )


@pytest.mark.parametrize(
    ("toml", "kept", "name", "problem"),
    [
        ("", None, None, False),  # before the first 'up' it is the machine's own
        ("", "isle\n", "isle", False),  # whatever the machine is called by now
        ("[[host]]\nname = 'isle'", "isle\n", "isle", False),
        ("[[host]]\nname = 'other'", "isle\n", "other", True),
    ],
)
def test_a_host_keeps_the_name_that_it_was_brought_up_with(
    tmp_path: Path, toml: str, kept: str | None, name: str | None, problem: bool
) -> None:
    ctx = context(tmp_path, toml, kept)
    assert name in (None, ctx.host.name)
    told = SameHost().problem(ctx)
    assert bool(told) is problem
    assert told is None or ("'other'" in told and "'isle'" in told)


def test_an_address_that_the_machine_does_not_have_is_named(tmp_path: Path) -> None:
    ctx = context(tmp_path, "[[host]]\naddress = '192.0.2.77'", None)
    assert "192.0.2.77" in str(OwnAddress().problem(ctx))
    assert OwnAddress().problem(context(tmp_path, "", None)) is None
