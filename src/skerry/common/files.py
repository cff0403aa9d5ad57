"""Writing files so that a power cut leaves the old one or the new one, never half of it."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from pathlib import Path


def flush_entry(place: Path) -> None:
    """Wait until a file's data, or a folder's names, are on the disk. Raises OSError."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def finish(half: Path, final: Path) -> None:
    """Give a file that was written under another name its own: whoever finds it there has all of it.

    Without the flush a power cut would leave the name and lose the data: ext4 writes names to its journal within 5 s, and
    the data of a new file up to 30 s later. Raises OSError.
    """
    flush_entry(half)
    half.replace(final)
    flush_entry(final.parent)


def write_atomically(path: Path, text: str, *, mode: int = 0o644, owner: str | None = None) -> None:
    """Write ``text`` to ``path`` through a temporary file beside it; make missing parents.

    ``mode`` is the permission bits, ``owner`` a user whose primary group owns the file too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(temporary).chmod(mode)
        if owner is not None:
            shutil.chown(temporary, owner, owner)
        flush_entry(Path(temporary))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def flush(place: Path) -> None:
    """Wait until all that was written to the file system of ``place`` is on its disk.

    To be called before a mark that something is complete: the mark is flushed by itself, and would survive a
    power cut that what it is about does not. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):  # it is Linux's own
        os.sync()
        return
    handle = os.open(place, os.O_RDONLY)
    try:
        if libc.syncfs(handle) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(place))
    finally:
        os.close(handle)
