"""A service as data."""

from __future__ import annotations

import json
from pathlib import Path

from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import File, Service


def test_a_changed_file_is_another_fingerprint(tmp_path: Path) -> None:
    def service(content: str) -> Service:
        return Service("x", ("/bin/x",), TcpProbe(1), files=(File(tmp_path / "x", content),))

    assert service("a").fingerprint == service("a").fingerprint != service("b").fingerprint
    assert json.loads(service("a").spec())["fingerprint"] == service("a").fingerprint
