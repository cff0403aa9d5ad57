"""Logs that would grow for ever: those of services, to which they append, and those of guests that are gone."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.upkeep import UpkeepTask

SIZE, KEPT = 20 << 20, 2
GUESTS_DAYS = 30
OWN = ("skerry.log", "supervisord.log")  # rotate by themselves


def task(ctx: Context) -> UpkeepTask:
    return UpkeepTask("logs", "logs that have grown", lambda: rotate(ctx))


def rotate(ctx: Context) -> str:
    """Rotate what is larger than 20 MiB, and remove logs of guests that nobody has written to for a month."""
    folder, done = ctx.layout.log, []
    for path in sorted(folder.glob("*")):
        if path.suffix not in (".log", ".out") or path.name in OWN or path.is_symlink():
            continue
        if path.is_file() and path.stat().st_size > SIZE:
            _shift(path)
            done.append(path.name)
    gone = [path for path in (folder / "libvirt/qemu").glob("*.log*") if _is_old(path)]
    for path in gone:
        path.unlink(missing_ok=True)
    words = [f"rotated {', '.join(done)}"] if done else []
    words += [f"removed {len(gone)} logs of guests that are gone"] if gone else []
    return "; ".join(words)


def _shift(path: Path) -> None:
    """Copy a log to NAME.1 and empty it. Who writes to it has it open to append, and continues at its new end."""
    with path.open("r+b") as log:
        found = os.fstat(log.fileno())
        for number in range(KEPT - 1, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number + 1}"))
        copy = path.with_name(f"{path.name}.1")
        try:
            handle = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, found.st_mode & 0o777)
            with os.fdopen(handle, "wb") as target:
                os.fchown(target.fileno(), found.st_uid, found.st_gid)
                shutil.copyfileobj(log, target, 1 << 20)
        except OSError as error:
            copy.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):  # a full disk is what is to be helped
                raise
        log.truncate(0)


def _is_old(path: Path) -> bool:
    return path.is_file() and path.stat().st_mtime < time.time() - GUESTS_DAYS * 86400
