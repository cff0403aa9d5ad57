"""Being in another network for a moment."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skerry.common.errors import PreflightError

CLONE_NEWNET = 0x40000000


@contextmanager
def entered(namespace: Path) -> Iterator[None]:
    """While it lasts, the calling thread, and what it starts, is in the network of this namespace's file.

    Sockets stay in the network in which they were made. Raises OSError (no such file), PreflightError (not allowed).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        inside = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(inside, CLONE_NEWNET) != 0:
                why = os.strerror(ctypes.get_errno())
                raise PreflightError(f"The network {namespace} cannot be entered: {why}.")
        finally:
            os.close(inside)
        try:
            yield
        finally:
            libc.setns(before, CLONE_NEWNET)
    finally:
        os.close(before)
