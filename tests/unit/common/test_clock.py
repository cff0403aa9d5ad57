"""The clock of deadlines: slower on a slow or busy machine, never faster than the wall."""

from __future__ import annotations

import pytest

from skerry.common.clock import Clock, load
from skerry.common.errors import NotReadyError
from skerry.common.wait import wait_for


class Wall:
    """A clock on a wall, and what a machine's cores are wanted by, for a `Clock` to read."""

    def __init__(self) -> None:
        self.time, self.load = 100.0, 1.0

    def clock(self, slow: float = 1.0) -> Clock:
        return Clock(slow, lambda: self.load, lambda: self.time)

    def wait(self, seconds: int) -> None:
        self.time += seconds


def waited(clock: Clock, wall: Wall, seconds: int, load: float) -> float:
    started, wall.load = clock.now(), load
    for _ in range(seconds):
        wall.wait(1)
        clock.now()
    return clock.now() - started


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


def test_the_load_of_this_machine_is_told() -> None:
    assert load() >= 1


def test_what_does_not_come_is_named_with_the_time_on_the_wall() -> None:
    assert wait_for("it", lambda: None, 5) < 5
    with pytest.raises(NotReadyError, match=r"it is not ready after \d s: not there"):
        wait_for("it", lambda: "not there", 0.1, 0.01)
