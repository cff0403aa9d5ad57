"""Signals are answered at once, and obeyed by what waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from tests.support.deadlines import at_most

from skerry.common import interrupt, proc
from skerry.common.errors import CommandError, InterruptError
from skerry.common.wait import wait_for

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_the_answer_comes_at_once_and_names_what_runs(number: signal.Signals) -> None:
    shown: list[tuple[float, str]] = []
    begun = time.monotonic()
    with (
        pytest.raises(KeyboardInterrupt),
        interrupt.answered(lambda text: shown.append((time.monotonic() - begun, text))),
        interrupt.running("build an image", 60),
        interrupt.running("stop a service"),
    ):
        os.kill(os.getpid(), number)
        time.sleep(0.5)
    assert len(shown) == 1 and shown[0][0] < at_most(0.4)
    assert "nothing more is started" in shown[0][1]
    assert "build an image (up to 60 s more), stop a service (nearly done)" in shown[0][1]


@BOTH
def test_what_waits_ends_and_nothing_is_started(number: signal.Signals) -> None:
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interrupt.answered(lambda text: None):
        os.kill(os.getpid(), number)
        with pytest.raises(InterruptError):
            wait_for("a fact", lambda: "it is not so", 60)
        with pytest.raises(InterruptError), interrupt.running("another thing"):
            raise AssertionError("it was started")
    assert time.monotonic() - begun < at_most(5)


def test_afterwards_all_is_as_before() -> None:
    before = [signal.getsignal(number) for number in interrupt.SIGNALS]
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), interrupt.answered(lambda text: None):
            os.kill(os.getpid(), signal.SIGINT)
        assert not interrupt.asked() and not interrupt.noting()
        assert [signal.getsignal(number) for number in interrupt.SIGNALS] == before
    with interrupt.answered(), interrupt.answered():
        interrupt.check()


def test_an_interrupt_is_the_cause_of_what_fails_after_it() -> None:
    with pytest.raises(KeyboardInterrupt), interrupt.answered(lambda text: None):
        os.kill(os.getpid(), signal.SIGINT)
        raise OSError("a program was interrupted, too")
    with pytest.raises(OSError, match="by itself"), interrupt.answered(lambda text: None):
        raise OSError("it failed by itself")


def test_in_another_thread_it_changes_nothing() -> None:
    seen: list[bool] = []

    def work() -> None:
        with interrupt.answered():
            seen.append(interrupt.noting())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_a_program_that_runs_is_kept_from_the_terminals_signals() -> None:
    argv = [sys.executable, "-ISc", "import os; print(os.getpgid(0) == os.getpid())"]
    assert proc.run(argv).stdout == "False\n"
    with interrupt.answered():
        assert proc.run(argv).stdout == "True\n"


def test_only_a_disposable_program_is_ended() -> None:
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interrupt.answered(lambda text: None):
        os.kill(os.getpid(), signal.SIGINT)
        assert proc.run(["sh", "-c", "sleep 0.5; echo whole"], disposable=False).stdout == "whole\n"
        with pytest.raises(InterruptError):
            proc.run(["sh", "-c", "sleep 60 & wait"], disposable=True)
    assert time.monotonic() - begun < at_most(8)
    assert proc.run(["sh", "-c", "cat; sleep 0.5"], input="in", disposable=True).stdout == "in"
    with interrupt.answered():
        assert proc.run(["sh", "-c", "cat; sleep 0.5"], input="in", disposable=True).stdout == "in"
        with pytest.raises(CommandError, match="no result after 1 s"):
            proc.run(["sleep", "60"], timeout=0.6, disposable=True)


def test_a_second_signal_does_not_wait() -> None:
    code = """
import signal, sys, time
from skerry.common import interrupt
with interrupt.answered():
    print("ready", flush=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.1)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as program:
        assert program.stdout is not None and program.stderr is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGINT)
        assert program.stderr.readline() == "skerry: Interrupted: nothing more is started.\n"
        program.send_signal(signal.SIGINT)
        assert program.stderr.readline() == interrupt.AT_ONCE
        assert program.wait(at_most(10)) == 130


@BOTH
def test_a_program_in_the_foreground_has_the_signal_and_is_waited_for(number: signal.Signals) -> None:
    code = """
import sys
from skerry.common import proc
child = "import time; print('up', flush=True)\\ntry: time.sleep(60)\\nexcept KeyboardInterrupt: sys.exit(7)"
sys.exit(proc.attended([sys.executable, "-c", "import sys; " + child]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as program:
        assert program.stdout is not None and program.stdout.readline() == "up\n"
        program.send_signal(number)
        assert program.wait(at_most(20)) == 130
