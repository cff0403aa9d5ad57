"""The OpenStack client, set up for this cloud."""

from __future__ import annotations

import os

from skerry.cloud.context import Context
from skerry.common.errors import PreflightError


def client(ctx: Context) -> tuple[str, dict[str, str]]:
    """The path of the client, and its environment. Raises PreflightError (no access data) or CloudDownError."""
    if not os.access(ctx.layout.clouds_yaml, os.R_OK):
        raise PreflightError(
            f"{ctx.layout.clouds_yaml} cannot be read: 'up' was interrupted before, or you are not root.",
            remedy="Run 'sudo ./skerry up' first, and this with sudo.",
        )
    ctx.demand_up()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"OS_CLIENT_CONFIG_FILE": str(ctx.layout.clouds_yaml), "OS_CLOUD": ctx.cloud.name}
    return ctx.layout.bin("openstack"), environment
