"""Reading the services' logs: whole tails, with the numbers of their lines."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.context import Context
from skerry.common.log import LOG

TAIL = 8 * 2**20  # bytes of each log that are read, from its end


def read_logs(ctx: Context) -> dict[str, list[str]]:
    """The lines of every service's log, of the last 8 MiB."""
    logs = sorted(ctx.layout.log.glob("*.log"))
    return {path.stem: tail(path) for path in logs if path.name != LOG.name}


def tail(path: Path, size: int = TAIL) -> list[str]:
    """The lines of a file; those before its last ``size`` bytes are empty."""
    try:
        with path.open("rb") as file:
            skipped = max(0, path.stat().st_size - size)
            before = 0
            while skipped > 0 and (part := file.read(min(skipped, 2**20))):
                skipped -= len(part)
                before += part.count(b"\n")
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [""] * before + lines
