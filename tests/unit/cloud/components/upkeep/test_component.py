"""The shell that sleeps, with seconds in place of days."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from tests.support.deadlines import at_most

from skerry.cloud.components.upkeep import component
from skerry.cloud.components.upkeep.component import DailyUpkeep
from skerry.cloud.context import Context
from skerry.common.wait import wait_for

SCRIPT = Path(component.__file__).with_name("daily.sh")
DAY = 86400


class Shell:
    """The script, whose command notes how it was called, and a verb would write the time of the next run."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.due, self.logs, self.calls = folder / "due", folder / "log", folder / "calls"
        self.logs.mkdir()
        self.verb = folder / "skerry"
        self.verb.write_text(
            f"#!/bin/sh\necho $* >>{self.calls}\nnow=$(date +%s)\n"
            f'[ "$2" != --daily ] || echo $now $((now + {DAY})) >{self.due}\n'
        )
        self.verb.chmod(0o755)

    def run(self, pause: str = "0.1") -> subprocess.Popen[bytes]:
        environment = {**os.environ, "SKERRY_UPKEEP_PAUSE": pause}
        argv = ["/bin/sh", str(SCRIPT), str(self.due), str(self.logs), str(self.verb)]
        process = self._stack.enter_context(subprocess.Popen(argv, env=environment))
        self._stack.callback(process.kill)
        return process

    def called(self, seconds: float = 1.0) -> list[str]:
        time.sleep(seconds)
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with ExitStack() as stack:
        yield Shell(tmp_path, stack)


def test_a_new_cloud_is_left_alone_for_a_day(shell: Shell) -> None:
    shell.run()
    assert shell.called() == []
    last, due = map(int, shell.due.read_text().split())
    assert due - last == DAY and abs(last - time.time()) < 30


@pytest.mark.parametrize(
    "times",
    [f"0 {int(time.time()) - 5}", f"{int(time.time()) + DAY} {10**11}", "nonsense"],
    ids=["due", "set back", "nonsense"],
)
def test_when_it_is_due_it_runs_once(shell: Shell, times: str) -> None:
    """Also when the clock was set back behind the last run, and when nobody knows."""
    shell.due.write_text(f"{times}\n")
    shell.run()
    assert shell.called() == ["upkeep --daily"]


def test_a_log_that_grows_does_not_wait_for_the_day(shell: Shell) -> None:
    log = shell.logs / "nova-api.log"
    with log.open("wb") as file:
        file.truncate(40 << 20)
    shell.run()
    assert set(shell.called()) == {"upkeep logs"}


def sleeps(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if child.name() == "sleep"]


def test_it_ends_at_once_and_its_sleep_with_it(shell: Shell) -> None:
    process = shell.run(pause="60")
    wait_for("its sleep", lambda: None if sleeps(process.pid) else "not yet", 10, 0.05)
    (sleeping,) = sleeps(process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(at_most(2)) == 0
    psutil.wait_procs([sleeping], timeout=2)
    assert not sleeping.is_running() or sleeping.status() == psutil.STATUS_ZOMBIE


def test_it_costs_next_to_nothing(shell: Shell) -> None:
    shell.due.write_text(f"{int(time.time())} {int(time.time()) + DAY}\n")
    process = psutil.Process(shell.run().pid)
    time.sleep(0.5)
    family = [process, *process.children()]
    assert sum(member.memory_full_info().pss for member in family) < 2 << 20


def at(root: Path, text: str) -> Context:
    (root / "etc/skerry").mkdir(parents=True)
    (root / "etc/skerry/cloud.toml").write_text(text)
    return Context.at(root)


def test_who_does_not_want_it(tmp_path: Path) -> None:
    (service,) = DailyUpkeep(at(tmp_path / "a", "")).services()
    assert str(tmp_path / "a/var/lib/skerry/tree/src") == service.env["PYTHONPATH"] and service.user == "root"
    assert service.argv[1] == str(tmp_path / "a/var/lib/skerry/upkeep.due")
    (service,) = DailyUpkeep(at(tmp_path / "b", "[upkeep]\ndaily = false\n")).services()
    assert service.argv[1] == "never"


def test_who_does_not_want_it_has_logs_rotated_all_the_same(shell: Shell) -> None:
    shell.due = Path("never")
    shell.run()
    assert shell.called(0.7) == []
    with (shell.logs / "nova-api.log").open("wb") as file:
        file.truncate(40 << 20)
    assert set(shell.called()) == {"upkeep logs"}
