"""pytest fixtures: labs for tests. A conftest.py takes them in with ``from skerry.lab.testing import make_lab``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from skerry.common.errors import NotFoundError, PreflightError
from skerry.common.locks import held
from skerry.lab.lab import Lab, take_down
from skerry.lab.model import parse
from skerry.lab.state import Places

MakeLab = Callable[[str], AbstractContextManager[Lab]]


def lab_root() -> Path:
    """Where labs of tests are: not where those of people are. Short, because sockets have names of 107 characters."""
    return Path(os.environ.get("SKERRY_TEST_ROOT", "/var/tmp/skerry-test")) / "labs"


def skip_without_namespaces() -> None:
    """Skip the test, with the reason, where no lab can be."""
    if os.geteuid() != 0:
        pytest.skip("a lab needs root")


@contextmanager
def lab_of(text: str) -> Iterator[Lab]:
    """A lab that is up while the block runs, from the text of a lab file. What a killed run left of it goes first."""
    skip_without_namespaces()
    root = lab_root()
    root.mkdir(parents=True, exist_ok=True)
    file = parse(text, "the test's lab file")
    with ExitStack() as lock:
        try:
            lock.enter_context(held(root / f".{file.name}.lock", seconds=0, make="file"))
        except BlockingIOError:
            pytest.fail(f"another test run is at work in {root}")
        clean(file.name)
        lab = Lab(file, root)
        try:
            try:
                lab.up()
            except PreflightError as reason:
                pytest.skip(str(reason))
            yield lab
        finally:
            clean(file.name)


def clean(name: str) -> None:
    try:
        take_down(Places(name, lab_root().resolve()))
    except NotFoundError:
        pass


@pytest.fixture(scope="session")
def make_lab() -> MakeLab:
    """Makes labs: ``with make_lab(TEXT) as lab``. Skips where there can be none."""
    skip_without_namespaces()
    return lab_of
