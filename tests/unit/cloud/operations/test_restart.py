"""Restarting services, with a supervisor that notes what it is asked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from skerry.cloud.context import CloudDownError
from skerry.cloud.operations.restart import restart
from skerry.cloud.supervise import Process
from skerry.cloud.supervise.service import Service
from skerry.cloud.supervise.supervisord import Direct
from skerry.common.errors import NotFoundError, StepError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="'restart' must be root")
pytestmark = needs_root


class Noted:
    """What the supervisor of a cloud was asked."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (root / "etc/skerry").mkdir(parents=True)
        (root / "etc/skerry/cloud.toml").write_text("")
        self.started: list[str] = []
        self.up, self.installed = True, ["keystone", "mariadb"]
        self.pids = {"keystone": 10, "mariadb": 20}
        monkeypatch.setattr(Direct, "running", lambda back: self.up)
        monkeypatch.setattr(Direct, "installed", lambda back: self.installed)
        monkeypatch.setattr(Direct, "start", lambda back, service: self.start(service))
        monkeypatch.setattr(
            Direct, "process", lambda back, name: Process(name, "running", self.pids.get(name, 0))
        )
        monkeypatch.setattr(Direct, "wait_ready", lambda back, service: 1.5)

    def start(self, service: Service) -> None:
        self.started.append(service.name)
        self.pids[service.name] += 1


@pytest.fixture
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Noted:
    return Noted(tmp_path, monkeypatch)


def test_in_the_order_in_which_they_start(noted: Noted, tmp_path: Path) -> None:
    said: list[str] = []
    done = restart(tmp_path, ["keystone", "mariadb", "keystone"], said.append)
    assert noted.started == ["mariadb", "keystone"]
    rows = json.loads(done.to_json())["services"]
    assert [(row["name"], row["pid"]) for row in rows] == [("mariadb", 21), ("keystone", 11)]
    assert "keystone is ready after 1.5 s." in done.render()
    assert said == ["restart mariadb", "restart keystone"]


def test_a_slip_of_the_pen_restarts_nothing(noted: Noted, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no service 'keyston'"):
        restart(tmp_path, ["mariadb", "keyston"], print)
    assert noted.started == []


def test_a_cloud_that_is_down(noted: Noted, tmp_path: Path) -> None:
    noted.up = False
    with pytest.raises(CloudDownError):
        restart(tmp_path, ["keystone"], print)


def test_what_was_never_started(noted: Noted, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="glance-api was never started"):
        restart(tmp_path, ["glance-api"], print)


def test_no_cloud(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no cloud"):
        restart(tmp_path, ["keystone"], print)
    assert list(tmp_path.iterdir()) == []
