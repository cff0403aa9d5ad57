"""One run at a time on a cloud. The kernel frees the lock when the run ends, however it ends."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from skerry.cloud.model.layout import Layout
from skerry.common.errors import BusyError, PreflightError
from skerry.common.locks import held


@contextmanager
def exclusive(layout: Layout, verb: str) -> Iterator[None]:
    """Hold the cloud for ``verb``. Raises BusyError, which names the run that has it."""
    path = layout.state / "lock"
    with ExitStack() as lock:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = lock.enter_context(held(path, seconds=0, make="file"))
        except BlockingIOError:
            raise _busy(path) from None
        except OSError as error:
            raise PreflightError(
                f"Cannot write to {path.parent} ({error.strerror}).",
                remedy="Run as root (sudo), or name another --root.",
            ) from None
        os.ftruncate(handle, 0)
        since = time.strftime("%H:%M:%S")
        os.pwrite(handle, json.dumps({"verb": verb, "pid": os.getpid(), "since": since}).encode(), 0)
        yield


def _busy(path: Path) -> BusyError:
    try:
        other = json.loads(path.read_text(errors="replace"))
        return BusyError(f"skerry {other['verb']}", other["pid"], other["since"])
    except (OSError, ValueError, LookupError, TypeError):
        return BusyError("a run that just began", "unknown", "now")
