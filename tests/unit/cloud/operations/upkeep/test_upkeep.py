"""Runs of tasks: what is kept of them, and what other runs mean for them."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skerry.cloud.components import registry
from skerry.cloud.context import CloudDownError, Context
from skerry.cloud.engine.lock import exclusive
from skerry.cloud.engine.upkeep import AttentionError, UpkeepTask
from skerry.cloud.model.layout import Layout
from skerry.cloud.operations.upkeep import upkeep as module
from skerry.cloud.operations.upkeep.record import UpkeepRecord, load
from skerry.cloud.operations.upkeep.upkeep import tasks, upkeep
from skerry.cloud.supervise import Process
from skerry.cloud.supervise.supervisord import Direct
from skerry.common.errors import BusyError, NotFoundError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="'upkeep' must be root")
Given = Callable[..., None]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    """A cloud that runs, with these tasks."""
    (tmp_path / "etc/skerry").mkdir(parents=True)
    (tmp_path / "etc/skerry/cloud.toml").write_text("")
    monkeypatch.setattr(Direct, "running", lambda back: True)
    monkeypatch.setattr(
        Direct, "process", lambda back, name: Process(name, "running", 0 if name == "away" else 7)
    )
    monkeypatch.setattr(module, "TURN", 0)

    def give(*tasks: UpkeepTask) -> None:
        monkeypatch.setattr(module, "tasks", lambda ctx: list(tasks))

    return give


def broken() -> str:
    raise OSError("no room\nat all")


def seen() -> str:
    raise AttentionError("look at this")


def due(root: Path) -> tuple[int, int]:
    last, next = Layout.at(root).upkeep_due.read_text().split()
    return int(last), int(next)


def test_each_task_has_its_outcome_and_all_are_kept(given: Given, tmp_path: Path) -> None:
    given(
        UpkeepTask("a", "A", lambda: "removed 3 rows"),
        UpkeepTask("b", "B", broken),
        UpkeepTask("c", "C", seen),
        UpkeepTask("d", "D", lambda: "", needs=("mariadb",)),
        UpkeepTask("e", "E", lambda: "never", needs=("away",)),
    )
    said: list[str] = []
    record = upkeep(tmp_path, [], said.append)
    assert said == ["A", "B", "C", "D", "E"]
    assert {task.name: (task.outcome, task.text) for task in record.tasks} == {
        "a": ("done", "removed 3 rows"),
        "b": ("failed", "OSError: no room"),
        "c": ("attention", "look at this"),
        "d": ("idle", ""),
        "e": ("failed", "away does not run"),
    }
    assert load(Layout.at(tmp_path)) == record
    assert [task.name for task in record.wrong] == ["b", "c", "e"]
    line = record.in_a_line()
    assert line.endswith(
        ": a; b failed: OSError: no room; c attention: look at this; e failed: away does not run"
    )
    assert "nothing was due" in record.render() and "5 tasks" in record.render()
    last, next = due(tmp_path)
    assert next - last == 86400 and abs(last - time.time()) < 60


def test_some_by_name_leave_the_rest_of_the_record(given: Given, tmp_path: Path) -> None:
    done = ["first", "second"]
    given(UpkeepTask("a", "A", lambda: done[0]), UpkeepTask("b", "B", lambda: done[0]))
    first = upkeep(tmp_path, [], print)
    (due_file,) = [Layout.at(tmp_path).upkeep_due]
    due_file.unlink()
    done.pop(0)
    assert [task.name for task in upkeep(tmp_path, ["b"], print).tasks] == ["b"]
    kept = load(Layout.at(tmp_path))
    assert [task.text for task in kept.tasks] == ["first", "second"] and kept.at == first.at
    assert not due_file.exists(), "a part is not the day's run"


def test_a_full_disk_keeps_no_task_from_being_run(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    given(UpkeepTask("logs", "L", lambda: "rotated"))
    monkeypatch.setattr("skerry.cloud.operations.upkeep.record.write_atomically", full)
    assert [task.text for task in upkeep(tmp_path, [], print, daily=True).tasks] == ["rotated"]


def test_another_run_puts_it_off_for_an_hour(given: Given, tmp_path: Path) -> None:
    given(UpkeepTask("a", "A", lambda: "did"))
    with exclusive(Layout.at(tmp_path), "up"):
        with pytest.raises(BusyError):
            upkeep(tmp_path, [], print)
        record = upkeep(tmp_path, [], print, daily=True)
    assert [task.outcome for task in record.tasks] == ["put off"] and record.wrong == []
    last, next = due(tmp_path)
    assert next - last == 3600


def test_a_run_that_breaks_off_is_not_repeated_at_once(given: Given, tmp_path: Path) -> None:
    def off() -> str:
        raise KeyboardInterrupt

    given(UpkeepTask("a", "A", off))
    with pytest.raises(KeyboardInterrupt):
        upkeep(tmp_path, [], print, daily=True)
    last, next = due(tmp_path)
    assert next - last == 3600


def test_a_name_that_no_task_has(given: Given, tmp_path: Path) -> None:
    given(UpkeepTask("logs", "L", lambda: ""))
    with pytest.raises(NotFoundError, match="Did you mean 'logs'"):
        upkeep(tmp_path, ["log"], print)


def test_a_cloud_that_is_down(given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(UpkeepTask("logs", "L", lambda: ""))
    monkeypatch.setattr(Direct, "running", lambda back: False)
    with pytest.raises(CloudDownError):
        upkeep(tmp_path, [], print)


def test_what_cannot_be_read_is_no_record(given: Given, tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    assert load(layout) == UpkeepRecord() and load(layout).in_a_line() == "has not run yet"
    layout.upkeep_record.parent.mkdir(parents=True)
    for text in ("", "[]", '{"tasks": 1}', json.dumps({"tasks": [{"name": "a"}]})):
        layout.upkeep_record.write_text(text)
        assert load(layout) == UpkeepRecord()


def test_the_tasks_of_a_cloud(tmp_path: Path) -> None:
    (tmp_path / "etc/skerry").mkdir(parents=True)
    (tmp_path / "etc/skerry/cloud.toml").write_text('features = ["heat", "barbican"]\n')
    names = [task.name for task in tasks(Context.at(tmp_path))]
    assert names == [
        "logs",
        "rabbitmq-queues",
        "openvswitch-database",
        "ovn-databases",
        "keystone-tokens",
        "keystone-credentials",
        "keystone-trusts",
        "glance-deleted",
        "nova-deleted",
        "heat-deleted",
        "barbican-deleted",
        "certificates",
    ]
    declared = {part.name for part in registry.components()}
    assert {name.split("-")[0] for name in names} <= {*declared, "certificates", "logs"}
