"""Ending what is left of services, on real processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from skerry.cloud.model.layout import Layout
from skerry.cloud.supervise.process_marks import (
    cloud_of,
    end_all,
    fingerprint_of,
    listens,
    other_clouds,
    service_of,
)

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
)
ORDINARY = "import time; print(flush=True); time.sleep(60)"


class Started:
    """Programs with the mark of a service, which nobody reaps before the test is over."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(self, program: str, layout: Layout) -> psutil.Process:
        environment = {
            **os.environ,
            "SKERRY_SERVICE": f"{layout.etc}/services/some.json",
            "SKERRY_FINGERPRINT": "f1",
        }
        argv = [sys.executable, "-I", "-S", "-c", program]
        child = self._stack.enter_context(subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE))
        self._stack.callback(child.kill)
        assert child.stdout is not None and child.stdout.readline() == b"\n"
        return psutil.Process(child.pid)


@pytest.fixture
def started() -> Iterator[Started]:
    with ExitStack() as stack:
        yield Started(stack)


@pytest.mark.timeout(20)
def test_what_has_ended_is_not_waited_for_although_nobody_reaps_it(started: Started, tmp_path: Path) -> None:
    layout, other = Layout.at(tmp_path / "one"), Layout.at(tmp_path / "two")
    mine, foreign = started(ORDINARY, layout), started(ORDINARY, other)
    end_all(layout, 60)
    assert mine.status() == psutil.STATUS_ZOMBIE
    assert foreign.status() != psutil.STATUS_ZOMBIE


@pytest.mark.timeout(20)
def test_what_does_not_end_is_killed(started: Started, tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    stubborn = started(STUBBORN, layout)
    end_all(layout, 0.2)
    assert stubborn.status() == psutil.STATUS_ZOMBIE


def test_a_process_of_a_service_is_recognised(started: Started, tmp_path: Path) -> None:
    layout, other = Layout.at(tmp_path / "one"), Layout.at(tmp_path / "one/etc/skerry/services")
    mine = started(ORDINARY, layout)
    assert service_of(mine.pid, layout) == "some" and fingerprint_of(mine.pid) == "f1"
    assert service_of(mine.pid, other) is None
    assert service_of(os.getpid(), layout) is None and fingerprint_of(os.getpid()) == ""


def test_another_cloud_of_the_machine_is_known(started: Started, tmp_path: Path) -> None:
    layout, other = Layout.at(tmp_path / "one"), Layout.at(tmp_path / "two")
    foreign = started(ORDINARY, other)
    assert cloud_of(foreign.pid) == other.root and cloud_of(os.getpid()) is None
    assert other.root in other_clouds(layout)
    assert other.root not in other_clouds(other)


def test_who_listens_on_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listens(os.getpid(), port)
        with subprocess.Popen([sys.executable, "-ISc", "input()"], stdin=subprocess.PIPE) as child:
            assert not listens(child.pid, port)
            child.communicate(b"\n")
    assert not listens(os.getpid(), port)
