"""supervisord, its parent and real services: what happens when one of them is killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support import CHECKOUT
from tests.support.deadlines import at_most

from skerry.cloud.model.layout import Layout
from skerry.cloud.supervise.probes import WorkersProbe
from skerry.cloud.supervise.service import OOM_SUPERVISOR, Service
from skerry.cloud.supervise.supervisord import Direct
from skerry.common.wait import wait_for

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="services are started as other users by root"),
    pytest.mark.timeout(90),
]
TALKS = "import sys, time\nfor n in range(10**6):\n print(n, flush=True)\n time.sleep(0.05)"
ENDS = "import sys; print('once', flush=True); sys.exit(3)"


def service(name: str, code: str = TALKS, **more: Any) -> Service:
    return Service(name, (sys.executable, "-ISc", code), WorkersProbe(0), user="root", **more)


def within(seconds: float, what: str, holds: Callable[[], object]) -> None:
    wait_for(what, lambda: None if holds() else "not yet", seconds, 0.05)


@pytest.fixture
def back(tmp_path: Path) -> Iterator[Direct]:
    layout = Layout(tmp_path, Path(sys.prefix), CHECKOUT)
    for folder in layout.folders():
        folder.mkdir(parents=True)
    layout.tree.symlink_to(CHECKOUT)
    made = Direct(layout)
    made.begin()
    yield made
    made.end()
    assert not made.running()


def supervisord(back: Direct) -> psutil.Process:
    return psutil.Process(int((back.layout.run / "supervisord.pid").read_text()))


def kill_supervisord(back: Direct) -> None:
    old = supervisord(back)
    old.kill()

    def another() -> bool:
        try:
            return back.running() and supervisord(back) != old
        except (OSError, ValueError, psutil.Error):
            return False

    within(20, "another supervisord", another)


def start(back: Direct, wanted: Service) -> int:
    back.install(wanted)
    back.start(wanted)
    within(10, f"{wanted.name} runs", lambda: back.process(wanted.name).pid)
    return back.process(wanted.name).pid


def test_services_run_on_and_are_adopted(back: Direct) -> None:
    wanted = service("talks", oom_score=123)
    pid, log = start(back, wanted), back.log_path("talks")
    before = back.process("talks")
    kill_supervisord(back)
    after = back.process("talks")
    assert (after.pid, after.fingerprint) == (pid, wanted.fingerprint)
    within(5, "it counts as running", lambda: back.process("talks").state == "running")
    assert abs(after.since - before.since) < 1.5
    size = log.stat().st_size
    within(5, "it writes to its log", lambda: log.stat().st_size > size)
    lines = list(map(int, log.read_text().split()))
    assert lines == list(range(len(lines))), "and no line is missing"
    # It is looked after as before.
    os.kill(pid, signal.SIGKILL)
    within(10, "it was started again", lambda: back.process("talks").pid not in (0, pid))
    within(5, "its parent has reaped it", lambda: not psutil.pid_exists(pid))
    pid = back.process("talks").pid
    kill_supervisord(back)
    back.stop("talks")
    assert back.process("talks").state == "stopped"
    within(5, "its parent has reaped it", lambda: not psutil.pid_exists(pid))
    kill_supervisord(back)
    time.sleep(1)
    assert back.process("talks").pid == 0, "what was stopped stays so"


def test_what_ends_while_there_is_no_supervisord_is_started(back: Direct) -> None:
    pid = start(back, service("talks"))
    os.kill(supervisord(back).pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    within(20, "it was started again", lambda: back.process("talks").pid not in (0, pid))


def test_one_that_had_just_started_is_adopted_too(back: Direct) -> None:
    pid = start(back, service("talks"))
    kill_supervisord(back)
    own = supervisord(back).pid
    os.kill(pid, signal.SIGKILL)
    within(10, "it was started again", lambda: back.process("talks").pid not in (0, pid))
    assert supervisord(back).pid == own, "its end is no error of supervisord's"


def test_up_adopts_when_its_parent_was_killed_too(back: Direct) -> None:
    pid = start(back, service("talks"))
    stopped = start(back, service("other"))
    keeper = back._keeper()
    assert keeper is not None
    for process in (keeper, supervisord(back)):
        process.kill()
    within(5, "nothing answers", lambda: not back.running())
    os.kill(stopped, signal.SIGKILL)
    back.begin()
    assert back.process("talks").pid == pid
    time.sleep(1)
    assert back.process("other").pid == 0, "the order of starts is the business of 'up'"


def test_up_gives_a_supervisord_a_parent_again(back: Direct) -> None:
    pid = start(back, service("talks"))
    keeper = back._keeper()
    assert keeper is not None and back.whole()
    keeper.kill()
    within(5, "it has none", lambda: back.running() and not back.whole())
    back.begin()
    assert back.whole() and back.process("talks").pid == pid and back._keeper() != keeper


def test_a_supervisord_that_is_on_its_way_is_waited_for(back: Direct) -> None:
    keeper = back._keeper()
    os.kill(supervisord(back).pid, signal.SIGKILL)
    within(5, "nothing answers", lambda: not back.running())
    back.begin()
    assert back.running() and back._keeper() == keeper


def test_down_right_after_a_kill_leaves_nothing(back: Direct) -> None:
    pid = start(back, service("talks"))
    keeper = back._keeper()
    os.kill(supervisord(back).pid, signal.SIGKILL)
    back.stop("talks")
    back.end()
    assert keeper is not None and keeper.status() == psutil.STATUS_ZOMBIE
    assert (
        not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    )  # init may not reap
    assert not back.running()
    back.begin()


def test_a_service_that_fails_is_tried_for_ever_and_ever_more_seldom(back: Direct) -> None:
    wanted = service("ends", ENDS)
    back.install(wanted)
    back.start(wanted)

    def attempts() -> int:
        log = back.log_path("ends")
        return log.read_text().count("once") if log.exists() else 0

    within(15, "it was tried four times", lambda: attempts() >= 4)  # after 1, 2 and 4 s
    time.sleep(3)
    assert attempts() == 4
    assert back.process("ends").state == "failing"
    back.stop("ends")
    assert back.process("ends").state == "stopped"
    # One that is started by hand is tried at once.
    back.start(wanted)
    within(3, "it was tried again", lambda: attempts() >= 5)


def test_a_stop_right_after_a_start_is_not_lost(back: Direct) -> None:
    """supervisord's own handler of the signal would take it in the copy that is about to be the service."""
    wanted, started = service("talks", stop_seconds=200), time.monotonic()
    back.install(wanted)
    for _ in range(8):
        back.start(wanted)
        back.stop("talks")
    assert time.monotonic() - started < at_most(40), "none was lost, and the service killed after 200 s"


def test_who_goes_first_when_memory_is_short(back: Direct) -> None:
    pid = start(back, service("talks", oom_score=321))
    keeper = back._keeper()
    assert keeper is not None

    def score(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    within(5, "its own score", lambda: score(pid) == 321)
    plain = start(back, service("plain"))
    within(5, "it does not keep its supervisor's protection", lambda: score(plain) == 0)
    assert {score(keeper.pid), score(supervisord(back).pid)} <= {OOM_SUPERVISOR, score(os.getpid())}


def test_the_parent_costs_next_to_nothing(back: Direct) -> None:
    keeper = back._keeper()
    assert keeper is not None and keeper.memory_full_info().pss < 1 << 20


def test_a_log_is_not_for_everybody(back: Direct) -> None:
    start(back, service("talks"))
    within(5, "it has a log", lambda: back.log_path("talks").exists())
    assert back.log_path("talks").stat().st_mode & 0o777 == 0o640
