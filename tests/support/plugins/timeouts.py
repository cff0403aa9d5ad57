"""pytest plugin: timeouts of tests (pytest-timeout) are counted by the clock of deadlines, for each attempt again."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from pytest_timeout import timeout_sigalrm

from tests.support.deadlines import alarm

RUNNING = pytest.StashKey[ExitStack]()
SETTINGS = pytest.StashKey[Any]()


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    pytest_timeout_cancel_timer(item)
    item.stash[SETTINGS] = settings
    item.stash[RUNNING] = ExitStack()
    item.stash[RUNNING].enter_context(alarm(settings.timeout, lambda: timeout_sigalrm(item, settings)))
    return True


def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    if RUNNING in item.stash:
        item.stash[RUNNING].close()
        del item.stash[RUNNING]
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start the timer of a test that is repeated: pytest-timeout starts it for the first attempt only."""
    settings = item.stash.get(SETTINGS, None)
    if settings and not settings.func_only:
        pytest_timeout_set_timer(item, settings)
