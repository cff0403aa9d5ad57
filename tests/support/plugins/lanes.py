"""pytest plugin: tests run in lanes, side by side, when pytest-xdist is given workers (``-n``).

A lane is what must run in one process and in order, because its tests share a cloud, a store or a place of this
machine. Lanes that take long and mostly wait start first; those that compute fill the rest of the cores.
"""

from __future__ import annotations

import ctypes
import re
import signal
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

PR_SET_PDEATHSIG = 1
# In the order in which they start. Modules that no pattern fits are a lane each, after these.
LANES = {
    "cloud": r"tests/cloud/test_([1-8]\d|90)_",
    "hosts": r"tests/cloud/",
    "cloudlet": r"tests/functional/cloudlet/test_(cloudlet|handoff|versions)\b",
    "labs": r"tests/functional/(lab/|cloudlet/)",  # they look for what is left on this machine
    "services": r"tests/functional/cloud/test_services\b",
    "fresh": r"tests/functional/cloud/test_fresh_machine\b",
    "debian": r"tests/functional/cloud/images/test_debian\b",
    "tiny": r"tests/functional/cloud/images/test_tiny\b",
    "style": r"tests/unit/house/test_style\b",
}


def lane(nodeid: str) -> str:
    """The lane of a test."""
    module = nodeid.split("::")[0]
    return next((name for name, pattern in LANES.items() if re.match(pattern, module)), module)


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out lanes to workers, in their order."""

    def _split_scope(self, nodeid: str) -> str:
        return lane(nodeid)

    def schedule(self) -> None:
        self.config.option.loadscopereorder = False
        super().schedule()


def place(nodeid: str) -> int:
    """Where a test's lane is in the order of lanes."""
    names = list(LANES)
    name = lane(nodeid)
    return names.index(name) if name in names else len(names)


def pytest_xdist_make_scheduler(config: Any, log: Any) -> Lanes:
    return Lanes(config, log)


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        # A run that is killed ends at once, and with it what its workers have started.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: place(item.nodeid))
