"""Locks between processes: flock(2) on a file or a folder. The kernel frees one when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

INTERVAL = 0.05  # seconds between two attempts


@contextmanager
def held(
    path: Path,
    *,
    seconds: float | None = None,
    shared: bool = False,
    make: Literal["file", "folder"] | None = None,
) -> Iterator[int]:
    """Hold the lock on a file or a folder, which is made first as ``make`` demands; gives its descriptor.

    Waits for as long as it takes, or at most ``seconds``. Several may hold a ``shared`` lock. A path that was removed
    while this one waited is another path: the lock is taken on what is there now.

    Raises BlockingIOError when somebody else holds it for too long, FileNotFoundError when there is nothing to lock.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        handle = _open(path, make)
        try:
            _lock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, deadline)
            if not _is_at(handle, path):
                continue
            yield handle
            return
        finally:
            os.close(handle)


def _open(path: Path, make: str | None) -> int:
    if make == "folder":
        path.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT if make == "file" else os.O_RDONLY
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _lock(handle: int, how: int, deadline: float | None) -> None:
    if deadline is None:
        fcntl.flock(handle, how)
        return
    while True:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(INTERVAL)


def _is_at(handle: int, path: Path) -> bool:
    """Whether the file that is open is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
