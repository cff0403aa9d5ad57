"""Simulated machines for tests that need one of their own."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skerry.cloud.supervise.service import SERVICE_USER
from skerry.common.errors import BusyError, PreflightError
from skerry.common.proc import run
from skerry.lab.host import ForeignFolderError, Host
from tests.support import CHECKOUT, deadlines

pytest_plugins = [
    "tests.support.plugins.changed",
    "tests.support.plugins.flaky",
    "tests.support.plugins.lanes",
    "tests.support.plugins.timeouts",
]
TOOLS = ("unshare", "nsenter", "ip")


@pytest.fixture(scope="session")
def machine() -> Callable[[str], object]:
    """Makes simulated machines: ``with machine(NAME) as host``. Skips where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("a simulated machine needs root")
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    # Sockets have names of at most 107 characters: the folder must be a short one.
    base = Path(os.environ.get("SKERRY_TEST_ROOT", "/var/tmp/skerry-test"))
    keep = bool(os.environ.get("SKERRY_TEST_KEEP"))
    environment = {
        "SKERRY_CHECKOUT": str(CHECKOUT),
        "SKERRY_ENV": sys.prefix,
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT / "src"), str(CHECKOUT)]),
    }

    @contextmanager
    def make(name: str) -> Iterator[Host]:
        os.environ.update(environment)
        host = Host(name, base / name, volatile=["r/run"], keep=keep)
        try:
            host.__enter__()
        except BusyError as busy:
            pytest.fail(f"another test run is at work: {busy}")
        except ForeignFolderError as reason:
            pytest.fail(str(reason))
        except PreflightError as reason:
            pytest.skip(str(reason))
        known = has_service_user()
        try:
            yield host
        finally:
            host.close()
            left = has_service_user() and not known
            if left:
                run(["userdel", SERVICE_USER])
        assert not left, f"a cloud has left its user {SERVICE_USER} on this machine"

    return make


def has_service_user() -> bool:
    """Whether this machine has the user that a cloud makes: simulated machines share their users with it."""
    return any(entry.pw_name == SERVICE_USER for entry in pwd.getpwall())


@pytest.fixture(scope="session")
def within() -> Callable[..., object]:
    """``within(SECONDS, WHAT, PROBE)``: the first true result of the probe, or a failure when it is late."""

    return deadlines.within
