"""What the upkeep did: kept on disk, for 'status' and 'doctor'."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from skerry.cloud.model.layout import Layout
from skerry.common.files import write_atomically

DAY = 86400.0
AGAIN = 3600.0  # seconds until a run that could not do all is repeated

Outcome = Literal["done", "idle", "attention", "failed", "put off"]


@dataclass(frozen=True)
class TaskRecord:
    """How a task went when it last ran. ``idle``: nothing was due; ``put off``: another run worked on the cloud."""

    name: str
    title: str
    outcome: Outcome
    text: str  # what it did, why it failed, or what to look at
    at: float  # seconds since the epoch
    seconds: float

    def render(self) -> str:
        text = self.text or "nothing was due"
        return f"{self.name:<22} {text if self.outcome in ('done', 'idle') else f'{self.outcome}: {text}'}"


@dataclass(frozen=True)
class UpkeepRecord:
    """A whole run: of all tasks, by itself (``daily``) or by hand, and what is left to look at."""

    at: float = 0.0  # seconds since the epoch; 0: there was none yet
    daily: bool = False
    seconds: float = 0.0
    tasks: list[TaskRecord] = field(default_factory=list)

    @property
    def wrong(self) -> list[TaskRecord]:
        """The tasks that failed, or found something for an operator to look at."""
        return [task for task in self.tasks if task.outcome in ("failed", "attention")]

    @property
    def put_off(self) -> bool:
        return any(task.outcome == "put off" for task in self.tasks)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    def render(self) -> str:
        lines = [task.render() for task in self.tasks]
        did = sum(task.outcome == "done" for task in self.tasks)
        lines.append(f"\n{len(self.tasks)} tasks in {self.seconds:.0f} s; {did} had something to do.")
        return "\n".join(lines)

    def in_a_line(self) -> str:
        """For 'status'."""
        if not self.at:
            return "has not run yet"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.at))
        did = [task.name for task in self.tasks if task.outcome == "done"]
        text = f"last ran {when}: {', '.join(did) if did else 'nothing was due'}"
        return text + "".join(f"; {task.name} {task.outcome}: {task.text}" for task in self.wrong)


def load(layout: Layout) -> UpkeepRecord:
    """The last run; an empty record where there was none, or where its file cannot be read."""
    try:
        data = json.loads(layout.upkeep_record.read_text())
        return UpkeepRecord(**{**data, "tasks": [TaskRecord(**task) for task in data["tasks"]]})
    except (OSError, ValueError, LookupError, TypeError):
        return UpkeepRecord()


def save(layout: Layout, record: UpkeepRecord, names: Sequence[str]) -> None:
    """Keep a run. Of a run of some tasks by ``names``, these replace what is known of them."""
    if names:
        before = load(layout)
        new = {task.name: task for task in record.tasks}
        tasks = [new.pop(task.name, task) for task in before.tasks]
        record = UpkeepRecord(before.at, before.daily, before.seconds, [*tasks, *new.values()])
    with suppress(OSError):  # on a full disk the run itself is worth more than its record
        write_atomically(layout.upkeep_record, record.to_json() + "\n", mode=0o600)


def schedule(layout: Layout, began: float, seconds: float) -> None:
    """Have the daily service start the next run ``seconds`` after ``began`` (components/upkeep/daily.sh)."""
    with suppress(OSError):
        write_atomically(layout.upkeep_due, f"{int(began)} {int(began + seconds)}\n", mode=0o600)
