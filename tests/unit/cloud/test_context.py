"""One cloud, seen from one host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.samples.three_hosts import at

from skerry.cloud.context import CloudDownError, Context
from skerry.cloud.supervise import Process
from skerry.common.errors import ConfigError, NotFoundError


def test_a_host_that_cloud_toml_does_not_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no host 'nobody'"):
        _ = at(tmp_path, "nobody").host


def test_no_cloud(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no cloud under"):
        Context.existing(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cloud_that_is_down_is_not_looked_for_on_its_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another cloud of the machine may listen there."""
    (tmp_path / "etc/skerry").mkdir(parents=True)
    (tmp_path / "etc/skerry/cloud.toml").write_text("")
    ctx = Context.existing(tmp_path)
    with pytest.raises(CloudDownError, match="is down: nothing of it runs"):
        _ = ctx.api
    monkeypatch.setattr(ctx.supervisor, "running", lambda: True)
    with pytest.raises(CloudDownError, match=r"its front \(haproxy\) does not run"):
        ctx.demand_up()
    monkeypatch.setattr(ctx.supervisor, "process", lambda name: Process(name, "running", os.getpid()))
    with pytest.raises(CloudDownError, match="does not listen on port 5000"):
        ctx.demand_up()
    monkeypatch.setattr("skerry.cloud.context.listens", lambda pid, port: (pid, port) == (os.getpid(), 5000))
    ctx.demand_up()
