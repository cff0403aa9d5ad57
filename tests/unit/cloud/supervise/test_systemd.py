"""systemd's units."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from skerry.cloud.model.layout import Layout
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import Service
from skerry.cloud.supervise.systemd import Systemd


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_generated_units_are_accepted_by_systemd(tmp_path: Path) -> None:
    (tmp_path / "var/log/skerry").mkdir(parents=True)
    checkout = tmp_path / "var/lib/skerry/tree"
    checkout.mkdir(parents=True)
    (checkout / "skerry").write_text("#!/bin/sh\n")
    (checkout / "skerry").chmod(0o755)
    python = tmp_path / "env/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    backend = Systemd(Layout(root=tmp_path, env=tmp_path / "env", checkout=checkout))
    service = Service(
        "nova-api",
        ("/bin/true",),
        TcpProbe(1),
        title="servers (nova) API",
        user="nobody",
        keeps_children=True,
    )
    units = {"skerry.service": backend.boot_unit(), "skerry-nova-api.service": backend.unit(service)}
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in units)],
        capture_output=True,
        text=True,
    )
    ours = [line for line in checked.stderr.splitlines() if "skerry" in line]
    assert ours == []
