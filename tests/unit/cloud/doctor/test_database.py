"""MariaDB's connections: facts in, findings out."""

from __future__ import annotations

import pytest
from tests.support.samples.doctor import said

from skerry.cloud.doctor.database import connections


@pytest.mark.parametrize(
    ("now", "most", "told"),
    [
        (60, 80, []),
        (350, 360, ["error: 350 of MariaDB's 400 connections are in use"]),
        (60, 400, ["warning: MariaDB has run out of its 400 connections before"]),
    ],
)
def test_connections(now: int, most: int, told: list[str]) -> None:
    assert said(connections(now, most, 400, {"nova": 30, "neutron": 20})) == told
