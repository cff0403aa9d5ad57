"""The gateway between hosts."""

from __future__ import annotations

from pathlib import Path

from tests.support.samples.three_hosts import at

from skerry.cloud.model import ports
from skerry.cloud.operations import graph


def test_what_is_on_loopback_there_is_what_the_gateway_lets_in(tmp_path: Path) -> None:
    front = next(role for role in graph.roles(at(tmp_path)) if role.name == "haproxy").every_file()[0].content
    back = next(role for role in graph.roles(at(tmp_path / "2", "two")) if role.name == "link").every_file()[
        0
    ]
    assert front.count("bind 198.51.100.11:") == 1 and "verify required" in front
    for name, port in ports.SHARED.items():
        assert f"server {name} 127.0.0.1:{port}" in front
        assert f"listen {name}\n    bind 127.0.0.1:{port}" in back.content
    assert "bind 0.0.0.0" not in front + back.content
