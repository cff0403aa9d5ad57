"""A store with one base, a small Debian in QEMU, for all tests of the engine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.machine import Machine
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.session import session as sessions
from skerry.cloudlet.session.synthesis import sweep_mounts
from skerry.cloudlet.vm import create, recipe
from skerry.cloudlet.vm.process import Vm

TOOLS = ("apt-get", "mmdebstrap", "mke2fs", "qemu-img", "qemu-system-x86_64")
PLACE = Path("/var/tmp/skerry-test-cloudlet")


def report(text: str) -> None:
    print(text, file=sys.stderr)


@pytest.fixture(scope="session")
def guest() -> recipe.Guest:
    """The guest that the recipe builds; kept from run to run."""
    if os.geteuid() != 0:
        pytest.skip("building a Debian guest needs root")
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = Path(os.environ.get("SKERRY_TEST_IMAGES", PLACE / "images")) / f"cloudlet-{recipe.version()}"
    guest = recipe.Guest(folder / "disk.raw", folder / "vmlinuz", folder / "initrd")
    return guest if guest.disk.exists() else recipe.build(folder, report)


@pytest.fixture(scope="package")
def store(guest: recipe.Guest) -> Iterator[Store]:
    """A store that an earlier, killed run may have left behind is emptied first."""
    root = PLACE / "store"
    if root.exists():
        empty(Store(root))
    made = Store(root)
    yield made
    empty(made)


def empty(store: Store) -> None:
    for folder in [*(store.root / "sessions").glob("*"), *(store.root / "work").glob("*/vm")]:
        vm = Vm.find(folder)
        if vm:
            vm.kill()
    sweep_mounts(store)
    shutil.rmtree(store.root)


@pytest.fixture(scope="package")
def base(store: Store, guest: recipe.Guest) -> Base:
    return create.from_recipe(store, "deb", Machine(memory_mib=256), report, guest)


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did, no session, mount or unfinished work stays. The store is made for tests that use it only."""
    yield
    if "store" not in request.fixturenames:
        return
    store: Store = request.getfixturevalue("store")
    left = [each.name for each in sessions.listed(store)]
    for name in left:
        sessions.stop(store, name)
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(store.root) in line]
    assert left == [] and mounts == []
    assert [path.name for path in (store.root / "sessions").iterdir()] == []
