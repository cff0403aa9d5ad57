"""Locks between processes, on real files."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skerry.common.locks import held

HOLD = """
import sys, time
from pathlib import Path
from skerry.common.locks import held
with held(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print(flush=True)
    time.sleep(60)
"""


@contextmanager
def other(path: Path, how: str = "alone") -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock."""
    argv = [sys.executable, "-c", HOLD, str(path), how]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"\n"
        yield holder
        holder.kill()


def test_one_at_a_time(tmp_path: Path) -> None:
    with other(tmp_path), pytest.raises(BlockingIOError), held(tmp_path, seconds=0):
        pass


def test_several_share(tmp_path: Path) -> None:
    with other(tmp_path, "shared"):
        with held(tmp_path, seconds=0, shared=True):
            pass
        with pytest.raises(BlockingIOError), held(tmp_path, seconds=0):
            pass


@pytest.mark.parametrize("seconds", [None, 20.0])
def test_a_lock_is_free_when_its_holder_was_killed(tmp_path: Path, seconds: float | None) -> None:
    with other(tmp_path) as holder:
        threading.Timer(0.3, holder.kill).start()
        with held(tmp_path, seconds=seconds):
            pass


def test_waiting_ends(tmp_path: Path) -> None:
    with other(tmp_path):
        started = time.monotonic()
        with pytest.raises(BlockingIOError), held(tmp_path, seconds=0.3):
            pass
        assert time.monotonic() - started >= 0.3


def test_what_is_missing_is_made_when_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), held(tmp_path / "none"):
        pass
    with held(tmp_path / "file", make="file"), held(tmp_path / "some/folder", make="folder"):
        pass
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    with held(tmp_path / "file", make="file"):
        pass


def test_a_folder_that_was_replaced_meanwhile_is_locked_as_it_is_now(tmp_path: Path) -> None:
    folder, old = tmp_path / "folder", tmp_path / "old"
    folder.mkdir()
    with other(folder) as holder:

        def replace() -> None:
            folder.rename(old)
            folder.mkdir()
            holder.kill()

        threading.Timer(0.3, replace).start()
        with (
            held(folder, seconds=20),
            held(old, seconds=0),
            pytest.raises(BlockingIOError),
            held(folder, seconds=0),
        ):
            pass


def test_a_folder_that_was_removed_meanwhile_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with other(folder) as holder:

        def remove() -> None:
            folder.rmdir()
            holder.kill()

        threading.Timer(0.3, remove).start()
        with pytest.raises(FileNotFoundError), held(folder, seconds=20):
            pass
