"""The gateway between hosts."""

from __future__ import annotations

from pathlib import Path

from tests.support.samples.three_hosts import at

from skerry.cloud.components import registry
from skerry.cloud.components.haproxy.component import HAProxy
from skerry.cloud.components.haproxy.gateway import GatewayLink


def test_what_is_on_loopback_there_is_what_the_gateway_lets_in(tmp_path: Path) -> None:
    front = HAProxy(at(tmp_path)).every_file()[0].content
    back = GatewayLink(at(tmp_path / "2", "two")).every_file()[0]
    assert front.count("bind 198.51.100.11:") == 1 and "verify required" in front
    for name, port in registry.shared_ports().items():
        here = f"127.0.0.1:{port.number}" if port.number else f"unix@{tmp_path}/run/skerry/{port.socket}"
        there = (
            f"127.0.0.1:{port.number}" if port.number else f"unix@{tmp_path}/2/run/skerry/link/{name} mode"
        )
        assert f"server {name} {here}" in front
        assert f"listen {name}\n    bind {there}" in back.content
    assert "bind 0.0.0.0" not in front + back.content
