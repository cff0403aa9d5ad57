"""Cloudlets find each other in a LAN: engines on one host of a lab, whoever asks on another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.deadlines import at_most

from skerry.cli.main import execute
from skerry.cloudlet.discovery.mdns import Announcement
from skerry.cloudlet.handoff.daemon import HandoffServer
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.peer.identity import Identity
from skerry.lab.lab import Lab
from skerry.lab.testing import MakeLab, make_lab

__all__ = ["make_lab"]

LAB = """
name = "mdns"
host = [{name = "h1"}, {name = "h2"}]
[[link]]
ends = ["h1:eth0", "h2:eth0"]
addresses = {"h1:eth0" = ["10.79.0.1/24"], "h2:eth0" = ["10.79.0.2/24"]}
"""
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def lab(make_lab: MakeLab) -> Iterator[Lab]:
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("not installed: qemu-system-x86_64")
    with make_lab(LAB) as lab:
        yield lab


@contextmanager
def serving(lab: Lab, store: Path) -> Iterator[str]:
    """'skerry cloudlet serve' in the network of h1; gives the port."""
    words = [
        "cloudlet",
        "--store",
        str(store),
        "serve",
        "--listen",
        "0.0.0.0",
        "--port",
        "0",
        "--name",
        "near",
    ]
    with lab.host("h1").network():
        process = subprocess.Popen(
            [sys.executable, "-m", "skerry.cli.main", *words], stdout=subprocess.PIPE, env=dict(os.environ)
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()  # it is announced by then
        yield line.split("port ")[1].split(",")[0]
    finally:
        process.terminate()
        assert process.wait(at_most(20)) == 0


@contextmanager
def stranger(lab: Lab, store: Store) -> Iterator[str]:
    """An engine that nobody is paired with, announced all the same."""
    with lab.host("h1").network():
        server = HandoffServer(store, "10.79.0.1", 0)
        announcement = Announcement(Identity(store.root / "keys").fingerprint, ["10.79.0.1"], server.port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"10.79.0.1:{server.port}"
    finally:
        announcement.close()
        server.stop()
        thread.join(at_most(20))


def discovered(
    lab: Lab, store: Path, capsys: pytest.CaptureFixture[str], seconds: str
) -> list[dict[str, Any]]:
    words = ["cloudlet", "--store", str(store), "discover", "--json", "--seconds", seconds]
    with lab.host("h2").network():
        assert execute(words) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_cloudlets_of_a_lan_are_found_and_strangers_are_listed_as_such(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near, own = (
        Identity(Store(tmp_path / "near").root / "keys"),
        Identity(Store(tmp_path / "own").root / "keys"),
    )
    near.pair(own.certificate())
    own.pair(near.certificate())
    other = Store(tmp_path / "other")
    with serving(lab, tmp_path / "near") as port, stranger(lab, other) as where:
        first, second = discovered(lab, tmp_path / "own", capsys, "1")
        assert first["cloudlet"]["name"] == "near" and first["paired"] is True and first["rtt"] is not None
        assert first["cloudlet"]["where"] == f"10.79.0.1:{port}"
        assert first["cloudlet"]["engine"] == near.fingerprint
        told = {"engine": Identity(other.root / "keys").fingerprint, "where": where}
        assert second["cloudlet"] == told and second["paired"] is False
    assert discovered(lab, tmp_path / "own", capsys, "0.5") == []
