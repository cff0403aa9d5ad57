"""pytest fixtures: labs for tests. A conftest.py takes them in with ``from skerry.lab.testing import make_lab``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from skerry.common.errors import NotFoundError, PreflightError
from skerry.common.locks import held
from skerry.lab.lab import Lab, take_down
from skerry.lab.model import parse
from skerry.lab.reaper import DOWN
from skerry.lab.state import Places

MakeLab = Callable[[str], AbstractContextManager[Lab]]
SECONDS_TO_WAIT = 60.0  # for what a killed run has left to be taken down


def lab_root() -> Path:
    """Where labs of tests are: not where those of people are. Short, because sockets have names of 107 characters."""
    return Path(os.environ.get("SKERRY_TEST_ROOT", "/var/tmp/skerry-test")) / "labs"


def skip_without_namespaces() -> None:
    """Skip the test, with the reason, where no lab can be."""
    if os.geteuid() != 0:
        pytest.skip("a lab needs root")


@contextmanager
def lab_of(text: str) -> Iterator[Lab]:
    """A lab that is up while the block runs, from the text of a lab file.

    It goes with the test run, even if that is killed; what is left of one all the same goes first.
    """
    skip_without_namespaces()
    root = lab_root()
    root.mkdir(parents=True, exist_ok=True)
    file = parse(text, "the test's lab file")
    with ExitStack() as stack:
        try:
            lock = held(root / f".{file.name}.lock", seconds=SECONDS_TO_WAIT, make="file")
            handle = stack.enter_context(lock)
        except BlockingIOError:
            pytest.fail(f"another test run is at work in {root}")
        clean(file.name)
        lab = Lab(file, root)
        stack.enter_context(_taken_down(lab, handle))
        try:
            lab.up()
        except PreflightError as reason:
            pytest.skip(str(reason))
        yield lab


@contextmanager
def _taken_down(lab: Lab, lock: int) -> Iterator[None]:
    """Take the lab down at the end, or let a process of its own do so when this one is killed. It holds the lock, too."""
    argv = [sys.executable, "-m", "skerry.lab.reaper", str(lab.places.root), lab.name]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        pass_fds=[lock],
        start_new_session=True,
        env=environment,
        cwd="/",
        text=True,
    ) as reaper:
        try:
            yield
        finally:
            clean(lab.name)
            reaper.communicate(DOWN)


def clean(name: str) -> None:
    """Take down what there is of a test's lab, if anything."""
    try:
        take_down(Places(name, lab_root().resolve()))
    except NotFoundError:
        pass


@pytest.fixture(scope="session")
def make_lab() -> MakeLab:
    """Makes labs: ``with make_lab(TEXT) as lab``. Skips where there can be none."""
    skip_without_namespaces()
    return lab_of
