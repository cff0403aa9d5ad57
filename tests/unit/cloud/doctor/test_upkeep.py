"""The record of the upkeep: facts in, findings out."""

from __future__ import annotations

import pytest
from tests.support.samples.doctor import said

from skerry.cloud.doctor.upkeep import left_undone
from skerry.cloud.operations.upkeep.record import DAY, Outcome, TaskRecord, UpkeepRecord

NOW = 1_800_000_000.0


def record(days: float, outcome: Outcome = "done") -> UpkeepRecord:
    """A run so many days ago, of one task."""
    at = NOW - days * DAY
    return UpkeepRecord(at, True, 1.0, [TaskRecord("logs", "logs", outcome, "no room", at, 1.0)])


@pytest.mark.parametrize(
    ("last", "since_days", "found"),
    [
        (record(1), 30, []),
        (record(1, "put off"), 30, []),
        (record(1, "failed"), 30, ["warning: upkeep: logs: no room"]),
        (record(1, "attention"), 30, ["warning: upkeep: logs: no room"]),
        (UpkeepRecord(), 2, []),
        (record(30), 1, []),  # the machine was off for a month
    ],
)
def test_findings(last: UpkeepRecord, since_days: float, found: list[str]) -> None:
    assert said(left_undone(last, NOW - since_days * DAY, NOW)) == found


@pytest.mark.parametrize("last", [record(4), UpkeepRecord()])
def test_it_has_not_run_for_days(last: UpkeepRecord) -> None:
    (text,) = said(left_undone(last, NOW - 4 * DAY, NOW))
    assert text.endswith("that is more than 3 days ago")


def test_a_service_that_does_not_run_is_found_by_another_check() -> None:
    assert said(left_undone(record(30), 0, NOW)) == []
