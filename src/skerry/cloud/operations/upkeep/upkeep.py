"""Running the tasks of the upkeep, one after the other, beside a cloud that works."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from skerry.cloud.components import registry
from skerry.cloud.context import CloudDownError, Context
from skerry.cloud.engine.lock import UPKEEP, exclusive
from skerry.cloud.engine.upkeep import AttentionError, UpkeepTask
from skerry.cloud.operations.upkeep import certificates, logs
from skerry.cloud.operations.upkeep.record import AGAIN, DAY, TaskRecord, UpkeepRecord, save, schedule
from skerry.common import interrupt
from skerry.common.errors import BusyError, NotFoundError, did_you_mean
from skerry.common.privilege import require_root

TURN = 0.3  # seconds between two tasks, in which a verb that waits takes the lock


def tasks(ctx: Context) -> list[UpkeepTask]:
    """All tasks of this host: those that its components declare, and those that belong to none."""
    return [
        logs.task(ctx),  # first: on a full disk it makes room for the others
        *(task for part in registry.present(ctx) for task in part.upkeep()),
        certificates.task(ctx),
    ]


def upkeep(
    root: Path | str, names: Sequence[str], report: Callable[[str], None], *, daily: bool = False
) -> UpkeepRecord:
    """Run all tasks, or those named. One that fails keeps no other from being run.

    Each holds the cloud's lock only while it runs, and other verbs wait for it. When another verb has the cloud, a
    ``daily`` run puts the rest off for an hour; by hand that is a BusyError. Raises NotFoundError (no cloud, no such task),
    CloudDownError.
    """
    began = time.time()
    ctx = Context.existing(root)
    require_root("'skerry upkeep' must be root.")
    chosen = _chosen(tasks(ctx), names)
    if not ctx.supervisor.running():
        raise CloudDownError(ctx.layout.root, "nothing of it runs", remedy="Run 'skerry up'.")
    if daily:
        # Before anything is done: what breaks this run off must not have it repeated at once.
        schedule(ctx.layout, began, AGAIN)
    done: list[TaskRecord] = []
    with interrupt.answered(report):
        for task in chosen:
            interrupt.check()
            if done:
                time.sleep(TURN)
            report(task.title)
            done.append(_run(ctx, task, daily=daily))
    record = UpkeepRecord(began, daily, round(time.time() - began, 1), done)
    save(ctx.layout, record, names)
    if not names:
        schedule(ctx.layout, began, AGAIN if record.put_off else DAY)
    return record


def _chosen(known: Sequence[UpkeepTask], names: Sequence[str]) -> list[UpkeepTask]:
    by_name = {task.name: task for task in known}
    for name in names:
        if name not in by_name:
            raise NotFoundError(
                f"There is no task '{name}'.{did_you_mean(name, by_name)}",
                remedy=f"The tasks of this host are: {', '.join(by_name)}.",
            )
    return [task for task in known if not names or task.name in names]


def _run(ctx: Context, task: UpkeepTask, *, daily: bool) -> TaskRecord:
    began = time.time()

    def ended(outcome: str, text: str) -> TaskRecord:
        seconds = round(time.time() - began, 1)
        return TaskRecord(task.name, task.title, outcome, text, round(began), seconds)  # type: ignore[arg-type]

    down = [name for name in task.needs if not ctx.supervisor.process(name).pid]
    if down:
        return ended("failed", f"{' and '.join(down)} does not run")
    try:
        with exclusive(ctx.layout, UPKEEP), interrupt.running(task.title, 60):
            text = task.work()
    except BusyError as busy:
        if not daily:
            raise
        return ended("put off", str(busy))
    except AttentionError as found:
        return ended("attention", str(found))
    except Exception as error:  # one task that fails must not keep the others from their work
        said = str(error).splitlines()[:1] or [""]
        return ended("failed", f"{type(error).__name__}: {said[0]}"[:400])
    return ended("done" if text else "idle", text)
