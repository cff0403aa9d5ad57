"""What components declare fits together, and whatever needs a list of them reads it in the registry."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import psutil
import pytest

from skerry.cli.parser import parser
from skerry.cloud.components import registry
from skerry.cloud.components.base.component import Component
from skerry.cloud.context import Context
from skerry.cloud.model.catalogue import Endpoint
from skerry.cloud.model.ports import Port
from skerry.cloud.model.secrets import Secret
from skerry.cloud.model.users import ROOT
from skerry.cloud.operations.graph import services
from skerry.cloud.operations.preflight import PortsFree
from skerry.cloud.operations.rotate import rotatable
from skerry.cloud.steps.accounts import Accounts
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import Service
from skerry.common.errors import ConfigError, NotFoundError


def at(root: Path, text: str = "") -> Context:
    (root / "etc/skerry").mkdir(parents=True, exist_ok=True)
    (root / "etc/skerry/cloud.toml").write_text(text)
    return Context.at(root)


class Example(Component):
    """A component that no cloud has, as its file would declare it."""

    name = "example"
    title = "an example"
    user = ROOT
    feature = "example"
    databases = {"example": ("example",)}
    ports = (Port("example", 9999),)
    endpoints = (Endpoint("example", "examples", "example", "/v1"),)
    account = True
    secrets = (Secret("example-seal", fixed=True),)

    def services(self) -> list[Service]:
        return [Service("example", ("/bin/example",), TcpProbe(self.ctx.port("example")), user=ROOT)]


CACHED = (registry.components, registry.features, registry.ports, registry.shared_ports, registry.secrets)


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example's file and its line in the registry."""
    module = ModuleType("skerry.cloud.components.example")
    module.Example = Example  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(registry, "COMPONENTS", (*registry.COMPONENTS, "example:Example"))
    for function in CACHED:
        function.cache_clear()
    yield
    monkeypatch.undo()
    for function in CACHED:
        function.cache_clear()


@pytest.mark.usefixtures("added")
def test_a_line_adds_a_component_everywhere(tmp_path: Path) -> None:
    without, ctx = at(tmp_path / "without"), at(tmp_path / "with", 'features = ["example"]\n')
    assert "example" in {service.name for service in services(ctx)}
    assert "example" not in {service.name for service in services(without)}
    accounts = Accounts(ctx)
    assert "example" in accounts.users and accounts.endpoints["example"].path == "/v1"
    assert "example" not in Accounts(without).users
    assert {"db-example", "service-example"} <= set(rotatable()) and "example-seal" not in rotatable()
    assert ctx.url("example", "/v1") == "http://127.0.0.1:9999/v1"
    assert parser().parse_args(["up", "--with", "example"]).features == ["example"]
    assert {"example", "heat"} <= set(registry.features())


def test_what_no_component_declares_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no feature 'example' \(known: .*heat"):
        at(tmp_path, 'features = ["example"]\n')
    with pytest.raises(NotFoundError, match="No component has a port 'example'"):
        registry.port("example")


def test_nothing_is_declared_twice() -> None:
    every = registry.components()
    declared: list[list[object]] = [
        [part.name for part in every],
        [port.number for part in every for port in (*part.apis, *part.ports)],
        [port.name for part in every for port in (*part.apis, *part.ports)],
        [secret.name for part in every for secret in part.all_secrets()],
        [point.service for part in every for point in part.endpoints],
        [name for part in every for names in part.databases.values() for name in names],
    ]
    for found in declared:
        assert [name for name, count in Counter(found).items() if count > 1] == []


def test_every_endpoint_is_at_a_port_of_its_component() -> None:
    for part in registry.components():
        names = {port.name for port in (*part.apis, *part.ports)}
        assert {point.port for point in part.endpoints} <= names, part.name


def test_every_api_is_a_service_behind_the_front(tmp_path: Path) -> None:
    ctx = at(tmp_path, f"features = {list(registry.features())}\n".replace("'", '"'))
    names = {service.name for service in services(ctx)}
    for part in registry.components():
        assert {port.name for port in part.apis} <= names, part.name


def test_a_port_that_is_taken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = SimpleNamespace(ip="127.0.0.1", port=registry.port("keystone"))
    taken = SimpleNamespace(laddr=address, status=psutil.CONN_LISTEN, pid=None)
    monkeypatch.setattr(psutil, "net_connections", lambda kind: [taken])
    assert PortsFree().problem(at(tmp_path)) == "Port 5000 (keystone) is taken by another program."
