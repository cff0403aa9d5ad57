"""What people write for rates, times and shares: ``10mbit``, ``20ms``, ``5%``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

RATES = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
LEAST_RATE = 8_000  # bit/s: a full frame still leaves within two seconds
NUMBER = r"(\d+(?:\.\d+)?)\s*"


def rate(text: object) -> int:
    """Bits per second of ``10mbit``; bit, kbit, mbit, gbit. Raises ValueError."""
    found = re.fullmatch(NUMBER + "([kmg]?bit)", str(text))
    if not found:
        raise ValueError(
            f"'{text}' is not a rate; write a number and bit, kbit, mbit or gbit, such as 10mbit"
        )
    value = round(float(found[1]) * RATES[found[2]])
    if value < LEAST_RATE:
        raise ValueError(f"'{text}' is too slow; at least {LEAST_RATE // 1000}kbit")
    return value


def seconds(text: object) -> float:
    """Seconds of ``20ms``; us, ms, s, m, h. Raises ValueError."""
    found = re.fullmatch(NUMBER + "(us|ms|s|m|h)", str(text))
    if not found:
        raise ValueError(f"'{text}' is not a time; write a number and us, ms, s, m or h, such as 20ms")
    return float(found[1]) * TIMES[found[2]]


def share(text: object) -> float:
    """A share between 0 and 1 of ``5%``. Raises ValueError."""
    found = re.fullmatch(NUMBER + "%", str(text))
    if not found or float(found[1]) > 100:
        raise ValueError(f"'{text}' is not a share; write a number from 0 to 100 and %, such as 5%")
    return float(found[1]) / 100


def _or(convert: object) -> BeforeValidator:
    return BeforeValidator(lambda value: convert(value) if isinstance(value, str) else value)  # type: ignore[operator]


Rate = Annotated[int, _or(rate)]
Seconds = Annotated[float, _or(seconds)]
Share = Annotated[float, _or(share)]
