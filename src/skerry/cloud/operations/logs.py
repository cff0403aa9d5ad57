"""The logs of services, and of Skerry itself (``skerry``)."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.context import Context
from skerry.common.errors import NotFoundError, did_you_mean


def log_of(ctx: Context, service: str) -> Path:
    """The log of a service. Raises NotFoundError, which names those that there are."""
    have = sorted(each.stem for each in ctx.layout.log.glob("*.log"))
    if service not in have:
        shown = ", ".join(have)
        raise NotFoundError(
            f"There is no log of a service '{service}'.{did_you_mean(service, have)}",
            remedy=f"Services with a log: {shown}." if have else "Services have logs after 'skerry up'.",
        )
    return ctx.supervisor.log_path(service)
