"""The firewall's rules by user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skerry.cloud.context import Context
from skerry.cloud.doctor.base import Patient
from skerry.cloud.doctor.network import PortsLimited
from skerry.cloud.steps.access.loopback import LoopbackRules


class Firewall:
    """Tables by name, in memory."""

    def __init__(self) -> None:
        self.tables: dict[str, str] = {}
        self.on = False

    def forwards(self) -> bool:
        return self.on

    def outward(self) -> list[str]:
        return ["eth0", "skerry-ext-ovs"]

    def limit_loopback(self, table: str, *rules: Any) -> None:
        self.tables[table] = str(rules)

    def limited_loopback(self, table: str) -> str | None:
        return self.tables.get(table)

    def open_loopback(self, table: str) -> None:
        self.tables.pop(table, None)


@pytest.fixture
def firewall() -> Firewall:
    return Firewall()


def at(root: Path, firewall: Firewall) -> Context:
    ctx = Context.at(root)
    ctx.platform.network = firewall  # type: ignore[assignment]
    return ctx


def test_rules_are_made_found_changed_and_removed(tmp_path: Path, firewall: Firewall) -> None:
    ctx = at(tmp_path, firewall)
    step, check = LoopbackRules(ctx), PortsLimited()
    patient = Patient(ctx, {}, True)
    assert [str(change) for change in step.check()] == [f"limit {len(step.ports())} ports to their users"]
    step.apply(print)
    assert step.check() == [] and list(check.findings(patient)) == []
    for changed in ({}, {step.table: "accept"}):
        firewall.tables = dict(changed)
        (finding,) = check.findings(patient)
        assert finding.severity == "error" and finding.fix is not None
        assert "again" in finding.fix()
        assert list(check.findings(patient)) == []
    step.undo()
    assert firewall.tables == {} and not (tmp_path / "run/skerry/loopback.json").exists()


def test_each_root_has_a_table_of_its_own(tmp_path: Path, firewall: Firewall) -> None:
    one, other = (LoopbackRules(at(tmp_path / name, firewall)) for name in ("one", "other"))
    assert one.table != other.table
    for step in (one, other):
        step.apply(print)
    one.undo()
    assert list(firewall.tables) == [other.table] and other.check() == []


def test_who_may_connect(tmp_path: Path, firewall: Firewall) -> None:
    step = LoopbackRules(at(tmp_path, firewall))
    ports = step.ports()
    assert step.closed() == ["skerry-guest"]
    assert "skerry-guest" not in {user for users in ports.values() for user in users}
    assert ports["15900-16199"] == ports["16700-16999"] == ["skerry-servers"]
    assert "skerry-compute" not in ports["13306"]
    assert list(step.fetching()) == ["skerry-image"], "heat is in few clouds"
    assert {"53", "5000", "13306"} <= set(step.fetching()["skerry-image"])
    assert not {"15900-16199", "15673", "6080"} & set(step.fetching()["skerry-image"])
    assert step.networks() == ["169.254.0.0/16"]
    assert not {"5000", "8774", "8080", "6080"} & set(ports), "what is for everybody"


def test_what_guests_reach_of_the_host(tmp_path: Path, firewall: Firewall) -> None:
    ctx = at(tmp_path, firewall)
    step = LoopbackRules(ctx)
    link = step.link()
    assert link is not None and (link.interface, link.hardware, link.offered) == ("skerry-ext", "", ())
    assert link.outside == ("eth0",), "forwarding is the cloud's"
    step.apply(print)
    firewall.on = True
    ctx.layout.state.mkdir(parents=True)
    ctx.layout.forwarded_before.write_text("0\n")
    assert step.link() == link and step.check() == [], "it still is, when the cloud has turned it on"
    ctx.layout.forwarded_before.write_text("1\n")
    changed = step.link()
    assert changed is not None and changed.outside == (), "the host was a router before"
    ctx.layout.forwarded_before.unlink()
    assert step.link() == changed
    for fields, hardware in (({"external_interface": "eth1"}, "fa:16:3e"), ({"roles": ("compute",)}, None)):
        ctx.__dict__["host"] = ctx.host.model_copy(update=fields)
        shown = step.link()
        assert (shown and shown.hardware) == hardware, "others use that network, too, or it ends elsewhere"
