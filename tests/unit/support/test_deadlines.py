"""Deadlines and measured times of tests on a machine that is slow or busy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from tests.support import deadlines
from tests.support.deadlines import Stopwatch, alarm, within


def test_this_machine_is_never_faster_than_the_wall() -> None:
    assert deadlines.slowness() >= 1
    begun = time.monotonic()
    with Stopwatch() as watch:
        time.sleep(0.5)
    assert 0 < watch.seconds <= time.monotonic() - begun


def test_busy_loops_slow_it_down() -> None:
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3 * (os.cpu_count() or 1))
    ]
    try:
        time.sleep(0.3)
        begun = time.monotonic()
        with Stopwatch() as watch:
            time.sleep(2)
        assert watch.seconds < (time.monotonic() - begun) / 2
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def test_what_does_not_come_is_named() -> None:
    assert within(5, "a word", lambda: "here") == "here"
    with pytest.raises(AssertionError, match=r"a word: not within 0\.1 s"):
        within(0.1, "a word", lambda: "")


def test_an_alarm_interrupts_and_a_block_that_ends_in_time_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGALRM)

    def late() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError), alarm(0.2, late):
        time.sleep(60)
    with alarm(60, late):
        pass
    assert signal.getsignal(signal.SIGALRM) is before
