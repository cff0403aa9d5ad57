"""'cloudlet serve' announces itself, or stays silent."""

from __future__ import annotations

from ipaddress import ip_interface
from pathlib import Path

import pytest

from skerry.cloudlet.discovery import mdns
from skerry.cloudlet.errors import MulticastError
from skerry.cloudlet.handoff import service
from skerry.cloudlet.handoff.daemon import HandoffServer
from skerry.cloudlet.overlay.store import Store

ENGINE, BASE = "ab" * 32, "cd" * 32


OWN = [ip_interface(text) for text in ("192.0.2.7/24", "169.254.3.4/16", "fd00::7/64", "fe80::7/64")]


def test_an_engine_on_loopback_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns, "Announcement", lambda *_: pytest.fail("it is announced"))
    server = HandoffServer(Store(tmp_path), "127.0.0.1", 0)
    assert service.announce(server, ENGINE, print) is None
    server.stop()


def test_an_engine_that_cannot_be_announced_serves_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise MulticastError("no such device")

    monkeypatch.setattr(mdns, "Announcement", fails)
    monkeypatch.setattr(mdns, "own_interfaces", lambda: OWN)
    server = HandoffServer(Store(tmp_path), "127.0.0.1", 0)
    server.address = "0.0.0.0"
    assert service.announce(server, ENGINE, print) is None
    assert "no such device" in capsys.readouterr().out
    server.stop()
