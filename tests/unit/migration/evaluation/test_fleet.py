"""Servers of an evaluation that do not come: a step that failed, with what was missing in the end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from skerry.common.errors import StepError
from skerry.migration.evaluation import fleet


class Api:
    """Of nova, a server that stays as it is."""

    def __init__(self, status: str) -> None:
        self.compute, self.network, self.image = self, self, self
        self.server = SimpleNamespace(id="1", status=status, fault={"message": "no host had room"})

    def __getattr__(self, verb: str) -> Any:
        return lambda *words, **named: self.server


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("ERROR", "flavor nano: no host had room"),
        ("BUILD", "migration-nano is not ready after 0 s: it is BUILD"),
    ],
)
def test_a_server_that_does_not_come(status: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "BOOTS", 0.0)
    size: Any = SimpleNamespace(memory=64, vcpus=1, disk=1)
    site: Any = None
    servers = fleet.Fleet(Api(status), site, {"nano": size}, lambda line: None)
    with pytest.raises(StepError, match=told):
        servers.get("nano")
    with pytest.raises(StepError, match=told):
        servers.get("nano")
