"""What a host waits for before it leaves a cloud."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from skerry.cloud.hosts.leave import described, moves, unfinished


class Compute:
    """nova's lists of migrations and servers."""

    def __init__(self, *states: str, server: Any = None) -> None:
        self.states, self.server = states, server

    def migrations(self, host: str) -> list[Any]:
        assert host == "three"
        return [
            SimpleNamespace(migration_type="live-migration", server_id=f"s{number}", status=state)
            for number, state in enumerate(self.states)
        ]

    def find_server(self, name: str, all_projects: bool) -> Any:
        assert all_projects
        return self.server


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
    assert described(unfinished(Compute(*states), "three")) == told


@pytest.mark.parametrize(
    ("server", "still"),
    [
        (None, False),
        (SimpleNamespace(task_state=None, status="ACTIVE"), False),
        (SimpleNamespace(task_state=None, status="VERIFY_RESIZE"), True),
        (SimpleNamespace(task_state="migrating", status="ACTIVE"), True),
    ],
)
def test_a_migration_is_broken_off_when_its_server_does_not_move(server: Any, still: bool) -> None:
    compute = Compute("running", server=server)
    (migration,) = unfinished(compute, "three")
    assert moves(compute, migration) is still
