"""pytest plugin: timeouts of tests (pytest-timeout) are counted by the clock of deadlines."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from pytest_timeout import timeout_sigalrm

from tests.support.deadlines import alarm

STACK = pytest.StashKey[ExitStack]()


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    item.stash[STACK] = stack = ExitStack()
    stack.enter_context(alarm(settings.timeout, lambda: timeout_sigalrm(item, settings)))
    return True


def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    stack = item.stash.get(STACK, None)
    if stack:
        stack.close()
    return True
