"""Rates, times and shares."""

from __future__ import annotations

import pytest

from skerry.lab import units


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        (units.rate, "10mbit", 10_000_000),
        (units.rate, "1.5 gbit", 1_500_000_000),
        (units.rate, "64kbit", 64_000),
        (units.seconds, "20ms", 0.02),
        (units.seconds, "5s", 5.0),
        (units.seconds, "2m", 120.0),
        (units.seconds, "250us", 0.00025),
        (units.share, "5%", 0.05),
        (units.share, "0.1%", 0.001),
    ],
)
def test_numbers(convert: object, text: str, value: float) -> None:
    assert convert(text) == pytest.approx(value)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("convert", "text"),
    [
        (units.rate, "10"),
        (units.rate, "10MB"),
        (units.rate, "1kbit"),
        (units.rate, "-1mbit"),
        (units.seconds, "5"),
        (units.seconds, "5 hours"),
        (units.share, "101%"),
        (units.share, "0.05"),
    ],
)
def test_wrong_numbers(convert: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        convert(text)  # type: ignore[operator]
