"""What identifies a process, on real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.support.deadlines import within

from skerry.common import process

SLEEP = [sys.executable, "-I", "-S", "-c", "import time; print(flush=True); time.sleep(60)"]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "SKERRY_MARK": f"here {os.getpid()}"}
    with subprocess.Popen(SLEEP, env=environment, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"\n"
        yield child
        child.kill()


def test_a_process_is_known_by_its_start(child: subprocess.Popen[bytes]) -> None:
    started = process.start_of(child.pid)
    assert started is not None and process.runs(child.pid, started)
    assert not process.runs(child.pid, started + 1), "another one that was given the same id"


def test_one_that_nobody_has_reaped_has_ended(child: subprocess.Popen[bytes]) -> None:
    started = process.start_of(child.pid)
    assert started is not None
    child.kill()
    within(5, "it has ended", lambda: process.start_of(child.pid) is None, 0.01)
    assert not process.runs(child.pid, started)


def test_marks(child: subprocess.Popen[bytes]) -> None:
    assert process.environment_of(child.pid)["SKERRY_MARK"] == f"here {os.getpid()}"
    assert process.marked("SKERRY_MARK", f"here {os.getpid()}") == [child.pid]
    assert process.marked("SKERRY_MARK", "here") == [], "the value is the whole value"
    child.kill()
    child.wait()
    assert process.environment_of(child.pid) == {}


def test_killed_ones_have_ended(child: subprocess.Popen[bytes]) -> None:
    process.kill([child.pid])
    assert process.start_of(child.pid) is None
    child.wait()
    process.kill([child.pid])  # it is gone: nothing happens


def test_finding_by_id_and_by_name(child: subprocess.Popen[bytes]) -> None:
    found = (child.pid, process.start_of(child.pid))
    assert list(process.find(os.getpid(), str(child.pid))) == [found]
    name = SLEEP[0].rpartition("/")[2]
    assert found in list(process.find(os.getpid(), name))
    assert found not in list(process.find(child.pid, name)), "a first process has only its id"
