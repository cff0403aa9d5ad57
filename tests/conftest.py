"""Simulated machines for tests that need one of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings

from tests.support import deadlines, machines

# How long an example takes is the machine's business: what hangs is ended by the timeout of its test.
settings.register_profile("skerry", deadline=None)
settings.load_profile("skerry")

pytest_plugins = [
    "tests.support.plugins.changed",
    "tests.support.plugins.flaky",
    "tests.support.plugins.lanes",
    "tests.support.plugins.long",
    "tests.support.plugins.timeouts",
]


@pytest.fixture(scope="session")
def machine() -> Callable[[str], object]:
    """Makes simulated machines: ``with machine(NAME) as host``. Skips where there can be none."""
    return machines.machine


@pytest.fixture(scope="session")
def within() -> Callable[..., object]:
    """``within(SECONDS, WHAT, PROBE)``: the first true result of the probe, or a failure when it is late."""

    return deadlines.within
