"""Renewal of certificates that end soon: who gets them, and what restarts."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.samples.three_hosts import at

from skerry.cloud.components import registry
from skerry.cloud.context import Context
from skerry.cloud.engine.upkeep import AttentionError
from skerry.cloud.hosts.join import Joined
from skerry.cloud.members import Members
from skerry.cloud.operations.upkeep import certificates
from skerry.cloud.operations.upkeep.certificates import renew
from skerry.cloud.steps import certificates as step_module
from skerry.cloud.steps.certificates import Certificates
from skerry.cloud.supervise import Process
from skerry.common.errors import CommandError


@pytest.fixture
def ctx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A cloud of three hosts, all of whose certificates end soon, and that has its services running."""
    found = at(tmp_path)
    step = Certificates(found)
    with monkeypatch.context() as soon:
        for name in ("YEAR", "DECADE"):
            soon.setattr(step_module, name, datetime.timedelta(days=36))
        step.apply(print)
    monkeypatch.setattr(certificates, "_write", lambda ctx, part, texts: None)
    every = [service for part in registry.present(found) for service in part.services()]
    found.running = {service.name: service.fingerprint for service in every}  # type: ignore[attr-defined]
    found.started = []  # type: ignore[attr-defined]
    back: Any = found.supervisor
    monkeypatch.setattr(
        back,
        "process",
        lambda name: Process(name, "running", 7, fingerprint=found.running[name]),  # type: ignore[attr-defined]
    )
    monkeypatch.setattr(certificates, "_restart", lambda ctx, service: ctx.started.append(service.name))
    return found


def test_services_that_have_read_them_restart(ctx: Any) -> None:
    assert renew(ctx).startswith("new for one, two, three, the authority; restarted haproxy")
    assert {"haproxy", "nova-novncproxy"} <= set(ctx.started)
    assert "keystone" not in ctx.started
    assert renew(ctx) == ""


def test_what_an_operator_has_not_applied_yet_is_not_applied(ctx: Any) -> None:
    ctx.running = dict.fromkeys(ctx.running, "that of another configuration")
    with pytest.raises(AttentionError, match="haproxy has the old certificate until 'skerry up'"):
        renew(ctx)
    assert ctx.started == []


def test_other_hosts_get_theirs(ctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    away = {"three"}

    def renewed(host: Joined) -> bool:
        if host.host.name in away:
            raise CommandError("ssh", "exit status 255", "no route to host")
        return True

    monkeypatch.setattr(Joined, "renew", renewed)
    monkeypatch.setattr(
        Members, "all", lambda members: {host.name: host for host in members.ctx.cloud.others}
    )
    with pytest.raises(AttentionError, match=r"brought to two.*; three could not be given .* no route"):
        renew(ctx)
    away.clear()
    assert renew(ctx) == "brought to two; brought to three", "tried again the next day"


def test_a_cloud_of_one_host_has_none(tmp_path: Path) -> None:
    assert renew(at(tmp_path, text="")) == ""
