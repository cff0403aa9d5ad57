"""A machine whose power can be cut, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.disk import Disk
from tests.support.machines import SimulatedMachine


@pytest.fixture(scope="module")
def cut_host(machine: Callable[[str], Any]) -> Iterator[SimulatedMachine]:
    with machine("cut") as host:
        yield host


@pytest.fixture
def disk(cut_host: SimulatedMachine) -> Disk:
    return Disk.fresh(cut_host)
