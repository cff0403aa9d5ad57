"""Load in a guest: what is asked of it, and what is made of its readings."""

from __future__ import annotations

import subprocess
import time
from importlib import resources

import pytest

from skerry.common.errors import StepError
from skerry.migration.evaluation.experiment import seen_inside
from skerry.migration.measurement.guest import LOOKS, Load, Reading, rate_between


class Guest:
    """A shell that returns one reading after the other, and remembers what was asked."""

    def __init__(self, *told: str) -> None:
        self.told, self.asked = list(told), []  # type: ignore[var-annotated]

    def __call__(self, script: str) -> str:
        self.asked.append(script)
        return self.told.pop(0) if script.endswith(" read") else ""


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    clock = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))


def test_a_writer_gets_a_quarter_of_the_memory_and_its_rate_is_taken() -> None:
    shell = Guest("10 0 0 2", "30 1 0 2")
    with Load(shell, 256, 10) as load:  # two of the clock's seconds are between the middles of two questions
        assert load.rate == pytest.approx(10)
    assert " start 10 64 8" in shell.asked[0]
    assert shell.asked[-1].endswith(" stop")


def test_a_guest_that_is_too_slow_is_told_and_left_alone() -> None:
    shell = Guest(*("10 0 0 2", "18 0 0 2") * LOOKS)
    with (
        pytest.raises(StepError, match=r"writes 4.0 MiB/s of the 10 that were asked for"),
        Load(shell, 256, 10),
    ):
        raise AssertionError("it does not get here")
    assert shell.asked[-1].endswith(" stop")


def test_a_guest_that_was_halted_in_one_look_is_looked_at_again() -> None:
    with Load(Guest("10 0 0 2", "11 0 0 2", "12 0 0 2", "28 0 0 2"), 256, 10) as load:
        assert load.rate == pytest.approx(8)


def test_an_idle_guest_only_checks_and_ticks() -> None:
    shell = Guest()
    with Load(shell, 128, 0) as load:
        assert load.rate == 0
    assert " start 0 32 8" in shell.asked[0] and not any(one.endswith(" read") for one in shell.asked)


def test_a_disk_is_written_in_the_mode_that_is_about_disks() -> None:
    shell = Guest("0 0 0 0", "20 0 0 0")
    with Load(shell, 256, 10, disk=True):
        assert " disk 64 10" in shell.asked[0]


def test_a_reading_that_is_none_is_refused() -> None:
    with pytest.raises(StepError, match="can't open"):
        Reading.parse("cat: can't open")


def test_what_the_guest_saw() -> None:
    before, after = Reading.parse("100 3 0 4"), Reading.parse("160 9 1 31")
    assert rate_between(before, after, 6) == 10
    assert seen_inside(9.5, before, after, 6) == {
        "guest_rate": 9.5,
        "guest_rate_during": 10,
        "guest_jump": 310,
        "guest_checks": 6,
        "guest_corrupt": 1,
    }


def test_the_script_is_one_that_a_shell_takes() -> None:
    text = resources.files("skerry.migration.measurement").joinpath("guest.sh").read_text()
    assert subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True).stderr == ""
