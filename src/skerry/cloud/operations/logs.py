"""The logs of services, and of Skerry itself (``skerry``)."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.context import Context
from skerry.common.errors import NotFoundError


def log_of(ctx: Context, service: str) -> Path:
    """The log of a service. Raises NotFoundError, which names those that there are."""
    path = ctx.supervisor.log_path(service)
    if not path.exists():
        have = ", ".join(sorted(each.stem for each in ctx.layout.log.glob("*.log")))
        raise NotFoundError(
            f"There is no log of a service '{service}'.",
            remedy=f"Services with a log: {have or 'none yet'}." + ("" if have else " Run 'skerry up'."),
        )
    return path
