"""Medians with their intervals, and the model, on data whose truth is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from skerry.migration.evaluation.estimate import fit, median, values


@given(some.lists(some.floats(0, 1e6), min_size=1, max_size=40))
def test_the_interval_has_the_median_in_it(figures: list[float]) -> None:
    found = median(figures)
    assert found is not None
    assert min(figures) <= found.low <= found.median <= found.high <= max(figures)
    assert found.count == len(figures)


def test_more_runs_make_it_narrower() -> None:
    few, many = (median([float(number % 10) for number in range(count)]) for count in (10, 1000))
    assert few is not None and many is not None
    assert many.high - many.low < few.high - few.low


def test_of_nothing_there_is_no_median() -> None:
    assert median([]) is None


def test_the_model_is_found_again() -> None:
    points = [
        (bandwidth, dirty, 2.5 + 100 / (bandwidth - dirty))
        for bandwidth in (16.0, 32.0, 64.0)
        for dirty in (0.0, 10.0)
    ]
    found = fit(points)
    assert found is not None
    assert found.fixed == pytest.approx(2.5) and found.volume == pytest.approx(100)
    assert found.explained == pytest.approx(1)
    assert found.seconds(32, 10) == pytest.approx(2.5 + 100 / 22)
    assert found.seconds(10, 50) == float("inf")


def test_one_bandwidth_is_too_little_for_it() -> None:
    assert fit([(16.0, 0.0, 5.0), (16.0, 0.0, 6.0), (8.0, 10.0, 60.0)]) is None


def test_what_failed_or_was_probed_late_does_not_count() -> None:
    rows = [
        {"failure": "", "trustworthy": True, "seconds": 3.0},
        {"failure": "", "trustworthy": False, "seconds": 9.0},
        {"failure": "given up", "trustworthy": True, "seconds": 60.0},
        {"failure": "", "trustworthy": True, "seconds": ""},
    ]
    assert values(rows, "seconds") == [3.0]
