"""One run at a time on a cloud. The kernel frees the lock when the run ends, however it ends."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from skerry.cloud.model.layout import Layout
from skerry.common import interrupt
from skerry.common.errors import BusyError, PreflightError
from skerry.common.locks import INTERVAL, held

UPKEEP = "upkeep"  # the verb that runs by itself
WAIT = 60.0  # seconds that others wait for a task of it: nobody asked for that


@contextmanager
def exclusive(layout: Layout, verb: str, wait: float = WAIT) -> Iterator[None]:
    """Hold the cloud for ``verb``. When the daily upkeep has it, ``wait`` (seconds) for its task to end.

    Raises BusyError, which names the run that has it.
    """
    path = layout.state / "lock"
    deadline = time.monotonic() + (0.0 if verb == UPKEEP else wait)
    with ExitStack() as lock:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = _taken(lock, path, deadline)
        except OSError as error:
            raise PreflightError(
                f"Cannot write to {path.parent} ({error.strerror}).",
                remedy="Run as root (sudo), or name another --root.",
            ) from None
        since = time.strftime("%H:%M:%S")
        with suppress(OSError):  # on a full disk nobody reads who has it, and it is held all the same
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps({"verb": verb, "pid": os.getpid(), "since": since}).encode(), 0)
        yield


def _taken(lock: ExitStack, path: Path, deadline: float) -> int:
    while True:
        try:
            return lock.enter_context(held(path, seconds=0, make="file"))
        except BlockingIOError:
            busy = _busy(path)
            if busy.args[0] != f"skerry {UPKEEP}" or time.monotonic() >= deadline:
                raise busy from None
        interrupt.check()
        time.sleep(INTERVAL)


def _busy(path: Path) -> BusyError:
    try:
        other = json.loads(path.read_text(errors="replace"))
        return BusyError(f"skerry {other['verb']}", other["pid"], other["since"])
    except (OSError, ValueError, LookupError, TypeError):
        return BusyError("a run that just began", "unknown", "now")
