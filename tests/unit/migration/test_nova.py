"""A server that is moved through nova's API, and hosts that can take it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from skerry.common.errors import NotFoundError, PreflightError
from skerry.migration.nova import Server, hosts_up


class Answer(SimpleNamespace):
    def json(self) -> Any:
        return self.data


class Compute:
    """Nova with one server on host two, whose migration is ``running`` until something is asked of it."""

    def __init__(self, says: str = "running") -> None:
        self.says, self.place, self.asked, self.told = says, "two", False, []  # type: ignore[var-annotated]
        self.status, self.then = "ACTIVE", []  # type: ignore[var-annotated]
        self.reason = "No valid host was found."

    def find_server(self, name: str, all_projects: bool) -> Any:
        return SimpleNamespace(id="1") if name == "known" else None

    def get_server(self, _: str) -> Any:
        return SimpleNamespace(
            status=self.status, compute_host=self.place, task_state=None, instance_name="i-1", power_state=1
        )

    def live_migrate_server(self, _: str, host: str | None, block_migration: str) -> None:
        self.asked = True

    def migrations(self, **_: object) -> list[Any]:
        said = self.says
        if self.then:
            self.says, self.place = self.then.pop(), "three"
        return [SimpleNamespace(id=7, status=said, dest_compute="three")] if self.asked else []

    def post(self, path: str, json: Any, microversion: str) -> None:
        self.told.append((path, json))
        self.then, self.says = ["completed"], "running (post-copy)"

    def delete(self, path: str, microversion: str) -> None:
        self.told.append((path, None))
        self.says, self.status = "cancelled", "ERROR"  # as nova 34.0 does

    def reset_server_state(self, _: str, state: str) -> None:
        self.status = state.upper()

    def get(self, path: str, microversion: str) -> Answer:
        if path.endswith("/os-instance-actions"):
            return Answer(
                data={
                    "instanceActions": [{"action": "live-migration", "request_id": "r", "message": "Error"}]
                }
            )
        return Answer(data={"instanceAction": {"events": [{"details": self.reason}]}})


def server(compute: Compute) -> Server:
    return Server(SimpleNamespace(compute=compute), "known")


def test_post_copy_is_a_migration_that_is_completed_by_force() -> None:
    compute = Compute()
    done = server(compute).move("three", switch=lambda: True)
    assert compute.told == [("/servers/1/migrations/7/action", {"force_complete": None})]
    assert (done.source, done.destination, done.failure) == ("two", "three", None)
    assert done.post_copy, "and nova said so"


def test_what_does_not_converge_is_given_up_and_says_so() -> None:
    compute = Compute()
    done = server(compute).move("three", limit=0.01)
    assert compute.told == [("/servers/1/migrations/7", None)]
    assert done.failure is not None and "did not converge" in done.failure
    assert compute.status == "ACTIVE", "it runs on where it was"


def test_a_refusal_keeps_novas_reason() -> None:
    assert server(Compute("error")).move("three").failure == "No valid host was found."


def test_no_server_is_told() -> None:
    with pytest.raises(NotFoundError, match="no server 'nobody'"):
        Server(SimpleNamespace(compute=Compute()), "nobody")


def services(**states: tuple[str, str]) -> Any:
    found = [SimpleNamespace(host=host, state=one[0], status=one[1]) for host, one in states.items()]
    return SimpleNamespace(compute=SimpleNamespace(services=lambda binary: found))


GOOD = ("up", "enabled")


def test_hosts_that_can_be_used() -> None:
    assert hosts_up(services(two=GOOD, three=GOOD, four=("down", "enabled"))) == ["three", "two"]
    assert hosts_up(services(two=GOOD, three=GOOD, four=GOOD), ["two", "four"]) == ["four", "two"]


@pytest.mark.parametrize(
    ("states", "wanted", "kind", "told"),
    [
        ({"two": GOOD, "three": GOOD}, ["two", "tree"], NotFoundError, "no compute host 'tree'"),
        ({"two": GOOD, "three": ("down", "enabled")}, ["two", "three"], PreflightError, "Host three is down"),
        (
            {"two": GOOD, "three": ("up", "disabled")},
            ["two", "three"],
            PreflightError,
            "Host three is disabled",
        ),
        ({"two": GOOD, "three": ("down", "enabled")}, None, PreflightError, "no second host"),
        ({"two": GOOD, "three": GOOD}, ["two", "two"], PreflightError, "no second host"),
    ],
)
def test_hosts_that_cannot_be_used_are_named(
    states: Any, wanted: Any, kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        hosts_up(services(**states), wanted)
