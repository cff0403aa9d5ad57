"""The clock by which tests measure: slower on a slow or busy machine, never faster than the wall."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from tests.support import deadlines
from tests.support.deadlines import Clock, Stopwatch, alarm, within


class Wall:
    """A clock on a wall, and what a machine's cores are wanted by, for a `Clock` to read."""

    def __init__(self) -> None:
        self.time, self.load = 100.0, 1.0

    def clock(self, slow: float = 1.0) -> Clock:
        return Clock(slow, lambda: self.load, lambda: self.time)

    def wait(self, seconds: int) -> None:
        self.time += seconds


def waited(clock: Clock, wall: Wall, seconds: int, load: float) -> float:
    begun, wall.load = clock.now(), load
    for _ in range(seconds):
        wall.wait(1)
        clock.now()
    return clock.now() - begun


@pytest.mark.parametrize(
    ("slow", "load", "seconds"), [(1.0, 1.0, 12.0), (1.0, 3.0, 4.0), (2.0, 1.0, 6.0), (2.0, 3.0, 2.0)]
)
def test_its_seconds_are_those_that_the_machine_gave(slow: float, load: float, seconds: float) -> None:
    wall = Wall()
    assert waited(wall.clock(slow), wall, 12, load) == pytest.approx(seconds)


def test_a_load_counts_while_it_lasts() -> None:
    wall = Wall()
    clock = wall.clock()
    assert waited(clock, wall, 10, 4.0) == pytest.approx(2.5)
    assert waited(clock, wall, 10, 1.0) == pytest.approx(10.0)


def test_a_machine_that_stood_still_has_given_a_second() -> None:
    wall = Wall()
    clock = wall.clock()
    wall.wait(3600)
    assert clock.now() == pytest.approx(1.0)


def test_this_machine_is_never_faster_than_the_wall() -> None:
    assert deadlines.slowness() >= 1 and deadlines.load() >= 1
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
