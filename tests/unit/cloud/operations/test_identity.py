"""The machine is the host that the cloud knows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skerry.cloud.model.cloud_toml import load
from skerry.cloud.operations.preflight import OwnAddress, SameHost


def context(tmp_path: Path, toml: str, kept: str | None) -> Any:
    path = tmp_path / "cloud.toml"
    path.write_text(toml)
    cloud = load(path).with_name_of_leader(kept)
    platform = SimpleNamespace(read=lambda path: kept)
    return SimpleNamespace(
        cloud=cloud, host=cloud.leader, platform=platform, layout=SimpleNamespace(host_name=Path("x"))
    )


@pytest.mark.parametrize(
    ("toml", "kept", "name", "problem"),
    [
        ("", None, None, False),  # before the first 'up' it is the machine's own
        ("", "isle\n", "isle", False),  # whatever the machine is called by now
        ("[[host]]\nname = 'isle'", "isle\n", "isle", False),
        ("[[host]]\nname = 'other'", "isle\n", "other", True),
    ],
)
def test_a_host_keeps_the_name_that_it_was_brought_up_with(
    tmp_path: Path, toml: str, kept: str | None, name: str | None, problem: bool
) -> None:
    ctx = context(tmp_path, toml, kept)
    assert name in (None, ctx.host.name)
    told = SameHost().problem(ctx)
    assert bool(told) is problem
    assert told is None or ("'other'" in told and "'isle'" in told)


def test_an_address_that_the_machine_does_not_have_is_named(tmp_path: Path) -> None:
    ctx = context(tmp_path, "[[host]]\naddress = '192.0.2.77'", None)
    assert "192.0.2.77" in str(OwnAddress().problem(ctx))
    assert OwnAddress().problem(context(tmp_path, "", None)) is None
