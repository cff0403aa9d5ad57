"""What a host waits for before it leaves a cloud."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from skerry.cloud.hosts.leave import unfinished


class Compute:
    """nova's list of migrations."""

    def __init__(self, *states: str) -> None:
        self.states = states

    def migrations(self, host: str) -> list[Any]:
        assert host == "three"
        return [
            SimpleNamespace(migration_type="live-migration", server_id=f"s{number}", status=state)
            for number, state in enumerate(self.states)
        ]


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ((), None),
        (("completed", "done", "confirmed", "error", "failed", "reverted", "cancelled"), None),
        (("completed", "running"), "live-migration of s1 is running"),
        (
            ("confirming", "post-migrating"),
            "live-migration of s0 is confirming; live-migration of s1 is post-migrating",
        ),
    ],
)
def test_a_host_stays_until_nova_has_finished_its_migrations(
    states: tuple[str, ...], told: str | None
) -> None:
    assert unfinished(Compute(*states), "three") == told
