"""Simulated machines: labs of one host that is under test, and of the world outside of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from skerry.cloud.model.users import FORMER, OPENS, USERS
from skerry.lab.lab import Lab, LabHost
from skerry.lab.testing import lab_of, lab_root, skip_without_namespaces
from tests.support import CHECKOUT

ADDRESS, WORLD = "203.0.113.2", "203.0.113.1"  # RFC 5737: for documentation, never real
MARKER = ".skerry-host"
LAB = """
name = "{name}"
[[host]]
name = "{name}"
shared = {shared}
[[host]]
name = "world"
shared = {shared}
[[link]]
ends = ["{name}:eth0", "world:eth0"]
addresses = {{"{name}:eth0" = ["{ADDRESS}/24"], "world:eth0" = ["{WORLD}/24"]}}
"""


class SimulatedMachine(LabHost):
    """One machine. Its cable leads to a world that answers HTTP at ``WORLD`` with the visitor's address, without names."""

    def __init__(self, lab: Lab, name: str, folder: Path) -> None:
        super().__init__(lab, name)
        self._folder = folder

    @property
    def folder(self) -> Path:
        """What it shares with this machine, at the same place: a root for a cloud is in there as ``r``."""
        return self._folder

    def power_on(self) -> None:
        super().power_on()
        self.settle()

    def settle(self) -> None:
        """Do what a machine does when it starts."""
        self.run(["ip", "route", "replace", "default", "via", WORLD])
        self.run(["sh", "-c", f"echo nameserver {WORLD} >/etc/resolv.conf"])


@contextmanager
def machine(name: str) -> Iterator[SimulatedMachine]:
    """A machine that runs while the block does. Skips the test where there can be none."""
    skip_without_namespaces()
    # Sockets have names of at most 107 characters: the folder must have a short one.
    folder = lab_root().resolve().parent / name
    made_for_it(folder)
    places = [str(folder), str(CHECKOUT), sys.prefix]
    environment = {
        "SKERRY_CHECKOUT": str(CHECKOUT),
        "SKERRY_ENV": sys.prefix,
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT / "src"), str(CHECKOUT)]),
    }
    os.environ.update(environment)
    with lab_of(LAB.format(name=name, shared=places, ADDRESS=ADDRESS, WORLD=WORLD)) as lab:
        empty(folder)
        (folder / "r").mkdir()
        # What a cloud has in memory only is lost when the machine loses its power.
        (folder / "r/run").symlink_to("/run")
        host = SimulatedMachine(lab, name, folder)
        host.settle()
        forget_users(host)
        world = lab.host("world").popen(
            [sys.executable, "-I", "-S", str(CHECKOUT / "tests/support/world.py"), WORLD]
        )
        assert world.process.stdout is not None and world.process.stdout.readline() == "ready\n"
        try:
            yield host
        finally:
            world.end()
    if not os.environ.get("SKERRY_TEST_KEEP"):
        # The marker goes last: a run that is killed here must not leave a folder that nobody takes.
        empty(folder)
        shutil.rmtree(folder)


def forget_users(host: Any) -> None:
    """Remove the users and groups of a cloud that may be on this machine: the host begins with them, too."""
    names = [FORMER, *USERS, *OPENS]
    script = 'for name; do userdel "$name"; done; for name; do groupdel "$name"; done; true'
    host.run(["sh", "-c", f"({script}) 2>/dev/null", "sh", *names])


def users_left(host: Any) -> list[str]:
    """What is left on a host of the cloud's users and groups."""
    found = host.run(["sh", "-c", "getent passwd; getent group"]).stdout.splitlines()
    return [line for line in found if line.startswith(("skerry:", "skerry-"))]


def made_for_it(folder: Path) -> None:
    """Make the folder of a machine. Fails the test where there is one with something else in it."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        pytest.fail(f"{folder} is not empty and not a simulated machine's: nothing there is touched")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()


def empty(folder: Path) -> None:
    """Remove what a killed run left there."""
    for path in folder.iterdir():
        if path.name != MARKER:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
