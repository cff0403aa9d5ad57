"""The daily upkeep: it runs, and all of it works."""

from __future__ import annotations

import time
from collections.abc import Iterable

from skerry.cloud.doctor.base import Check, Finding, Patient
from skerry.cloud.operations.upkeep.record import DAY, UpkeepRecord, load

LATE = 3  # days


class UpkeepDone(Check):
    """The upkeep has run in the last days, and no task of it failed."""

    name = "upkeep"
    message = "What is not kept up ends one day: keys and certificates grow old, logs and databases large."
    remedy = "Fix what it names, then see: sudo ./skerry upkeep"
    of = ("upkeep",)

    def findings(self, patient: Patient) -> Iterable[Finding]:
        yield from left_undone(load(patient.ctx.layout), patient.vitals["upkeep"].process.since, time.time())


def left_undone(record: UpkeepRecord, since: float, now: float) -> Iterable[Finding]:
    """Findings for the last run, when the service has run ``since`` then (seconds since the epoch; 0: it does not)."""
    for task in record.wrong:
        yield Finding("warning", f"upkeep: {task.title}: {task.text}", (f"task {task.name}, {task.outcome}",))
    if since and now - max(record.at, since) > LATE * DAY:
        log = "'skerry logs upkeep' shows why; by hand: sudo ./skerry upkeep"
        yield Finding(
            "warning", f"the upkeep {record.in_a_line()}: that is more than {LATE} days ago", remedy=log
        )
