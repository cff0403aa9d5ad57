"""Room on hosts, as placement counts it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from skerry.common.errors import PreflightError
from skerry.migration.capacity import crowded, demand_room


class Answer(SimpleNamespace):
    def json(self) -> Any:
        return self.data


class Placement:
    """Two hosts with 4096 MiB each, of which 1024 are taken."""

    def __init__(self) -> None:
        self.claims: dict[str, int] = {}

    def resource_providers(self, name: str) -> list[Any]:
        return [SimpleNamespace(id=name)]

    def get(self, path: str, microversion: str) -> Answer:
        if path.endswith("inventories"):
            stock = {"total": 4608, "reserved": 512, "allocation_ratio": 1.0}
            return Answer(data={"inventories": {"MEMORY_MB": stock}})
        return Answer(data={"usages": {"MEMORY_MB": 1024 + sum(self.claims.values())}})

    def put(self, path: str, json: Any, microversion: str) -> Answer:
        (claim,) = json["allocations"].values()
        self.claims[path] = claim["resources"]["MEMORY_MB"]
        return Answer(status_code=204)

    def delete(self, path: str, microversion: str) -> None:
        del self.claims[path]


def test_a_server_without_room_is_told_before_it_is_touched() -> None:
    placement = Placement()
    api = SimpleNamespace(placement=placement, current_project_id="p", current_user_id="u")
    demand_room(api, "known", 3072, "two", ["two", "three"])
    with pytest.raises(PreflightError, match="it needs 3073 MiB of memory, and three has 3072 MiB left"):
        demand_room(api, "known", 3073, "two", ["two", "three"])
    with crowded(api, ["three"], 64):
        assert list(placement.claims.values()) == [3008]
        with pytest.raises(PreflightError, match="three has 64 MiB left"):
            demand_room(api, "known", 128, "two", ["two", "three"])
    assert placement.claims == {}
