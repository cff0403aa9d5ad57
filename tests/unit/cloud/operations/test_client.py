"""The client's environment: of this cloud, of this person, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.samples.three_hosts import at

from skerry.cloud.context import CloudDownError, Context
from skerry.cloud.operations.client import client
from skerry.common.errors import NotFoundError, PreflightError


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    found = at(tmp_path, text="name = 'isle'")
    found.layout.clouds_yaml.write_text("{}")
    return found


def test_what_the_caller_has_set_for_another_cloud_is_left_out(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Context, "demand_up", lambda self: None)
    monkeypatch.setenv("OS_AUTH_URL", "http://elsewhere:5000/v3")
    monkeypatch.setenv("OS_PASSWORD", "x")
    program, environment = client(ctx)
    assert program.endswith("/bin/openstack")
    assert {name: value for name, value in environment.items() if name.startswith("OS_")} == {
        "OS_CLIENT_CONFIG_FILE": str(ctx.layout.clouds_yaml),
        "OS_CLOUD": "isle",
    }


def test_as_a_person(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "demand_up", lambda self: None)
    with pytest.raises(NotFoundError, match="nobody 'ann'"):
        client(ctx, "ann")
    path = ctx.layout.etc / "people/ann.yaml"
    path.parent.mkdir()
    path.write_text("{}")
    assert client(ctx, "ann")[1]["OS_CLIENT_CONFIG_FILE"] == str(path)


def test_without_a_cloud_that_answers(ctx: Context) -> None:
    with pytest.raises(CloudDownError):
        client(ctx)
    ctx.layout.clouds_yaml.unlink()
    with pytest.raises(PreflightError, match="cannot be read"):
        client(ctx)
