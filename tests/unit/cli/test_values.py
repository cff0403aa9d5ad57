"""Values of options: out of range, no number, and right."""

from __future__ import annotations

import argparse

import psutil
import pytest

from skerry.cli.parser import parse
from skerry.cli.values import memory_mib, port, whole
from skerry.common.errors import UsageError


@pytest.mark.parametrize("text", ["0", "65", "-1", "two", "", "1.5"])
def test_what_is_no_number_of_the_range(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number from 1 to 64"):
        whole(1, 64)(text)


def test_what_is_one() -> None:
    assert (whole(1, 64)("64"), port("22"), memory_mib("32")) == (64, 22, 32)


def test_more_memory_than_there_is() -> None:
    have = int(psutil.virtual_memory().total / 2**20)
    with pytest.raises(argparse.ArgumentTypeError, match=f"from 32 to {have}"):
        memory_mib(str(have + 1))


@pytest.mark.parametrize(
    "line",
    [
        "verify --workers 0",
        "logs keystone -n -3",
        "cloudlet base create x --memory 99999999",
        "cloudlet resume x --port 70000",
        "cloudlet overlay create a b --run /dev/null --level 20",
    ],
)
def test_options_have_a_range(line: str) -> None:
    with pytest.raises(UsageError, match="is not a whole number from"):
        parse(line.split())
