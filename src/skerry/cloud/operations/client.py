"""The OpenStack client, set up for this cloud: as its administrator, or as a person who has an account."""

from __future__ import annotations

import os

from skerry.cloud.context import Context
from skerry.cloud.operations.people import People
from skerry.common.errors import PreflightError


def client(ctx: Context, person: str | None = None) -> tuple[str, dict[str, str]]:
    """The path of the client, and its environment.

    Raises PreflightError (no access data), NotFoundError (no such person), CloudDownError.
    """
    path = People(ctx).file_of(person) if person is not None else ctx.layout.clouds_yaml
    if not os.access(path, os.R_OK):
        raise PreflightError(
            f"{path} cannot be read: 'up' was interrupted before, or you are not root.",
            remedy="Run 'sudo ./skerry up' first, and this with sudo.",
        )
    ctx.demand_up()
    # What the caller has set for another cloud would be taken for this one.
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONPATH" and not name.startswith("OS_")
    }
    return ctx.layout.bin("openstack"), kept | {
        "OS_CLIENT_CONFIG_FILE": str(path),
        "OS_CLOUD": ctx.cloud.name,
    }
