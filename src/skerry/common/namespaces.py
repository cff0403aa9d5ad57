"""Namespaces of the kernel: which one a process is in, running programs in others, being in another network."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from skerry.common.errors import PreflightError

CLONE_NEWNET = 0x40000000
HOST = ("net", "mount", "pid", "uts", "ipc")  # what a host made of namespaces has of its own


def namespace_of(pid: int | str, kind: str) -> Path | None:
    """Identifies the namespace that a process (``self`` for this one) is in; None when the process has ended."""
    try:
        return Path(f"/proc/{pid}/ns/{kind}").readlink()
    except OSError:
        return None


def entering(pid: int, argv: Sequence[str], kinds: Sequence[str] = HOST) -> list[str]:
    """The command that runs ``argv`` in namespaces of a process, by nsenter(1); with its mounts, in the folder /."""
    folder = ["--wdns=/"] if "mount" in kinds else []
    return ["nsenter", "-t", str(pid), *(f"--{kind}" for kind in kinds), *folder, "--", *argv]


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
