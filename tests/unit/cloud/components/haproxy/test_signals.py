"""Guests' way to heat."""

from __future__ import annotations

from pathlib import Path

from tests.support.samples.three_hosts import at

from skerry.cloud.components import registry
from skerry.cloud.components.haproxy.signals import HeatSignals, base
from skerry.cloud.steps.access.loopback import LoopbackRules

WITH = 'features = ["heat"]\n'
ROUTER = '[external]\ncidr = "198.51.100.0/24"\ngateway = "198.51.100.1"\npool = ["198.51.100.9", "198.51.100.99"]\n'
HOST = '[[host]]\nname = "one"\nexternal_interface = "eth1"\n'


def test_it_is_where_guests_reach_the_host_and_the_rules_let_them(tmp_path: Path) -> None:
    ctx = at(tmp_path, text=WITH + "external.cidr = '198.51.100.0/24'")
    assert base(ctx, "heat-api") == "http://198.51.100.1:8003"
    (signals,) = [part for part in registry.present(ctx) if isinstance(part, HeatSignals)]
    text = signals.files()[0].content
    assert "bind 198.51.100.1:8003\n" in text and "127.0.0.1:" not in text
    link = LoopbackRules(ctx).link()
    assert link is not None and link.offered == ("8003",)


def test_behind_a_router_of_the_site_there_is_none(tmp_path: Path) -> None:
    ctx = at(tmp_path, text=WITH + ROUTER + HOST)
    assert base(ctx, "heat-api") == "http://127.0.0.1:8004"
    assert not any(isinstance(part, HeatSignals) for part in registry.present(ctx))
