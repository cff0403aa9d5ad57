"""One run at a time on a cloud. The kernel frees the lock when the run ends, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from skerry.cloud.model.layout import Layout
from skerry.common.errors import BusyError, PreflightError


@contextmanager
def exclusive(layout: Layout, verb: str) -> Iterator[None]:
    """Hold the cloud for ``verb``. Raises BusyError, which names the run that has it."""
    path = layout.state / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PreflightError(
            f"Cannot write to {path.parent} ({error.strerror}).",
            remedy="Run as root (sudo), or name another --root.",
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = os.pread(handle, 1000, 0).decode(errors="replace")
            try:
                other = json.loads(told)
            except ValueError:
                other = {"verb": "a run that just began", "pid": "unknown", "since": "now"}
            raise BusyError(f"skerry {other['verb']}", other["pid"], other["since"]) from None
        os.ftruncate(handle, 0)
        since = time.strftime("%H:%M:%S")
        os.pwrite(handle, json.dumps({"verb": verb, "pid": os.getpid(), "since": since}).encode(), 0)
        yield
    finally:
        os.close(handle)
