"""run the OpenStack client on this cloud, without any set-up"""

from __future__ import annotations

import argparse
import os

from skerry.cloud.context import Context
from skerry.common.errors import PreflightError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "skerry openstack ARGUMENT..."


def run(args: argparse.Namespace) -> int:
    ctx = Context.at(args.root)
    if not os.access(ctx.layout.clouds_yaml, os.R_OK):
        raise PreflightError(
            f"{ctx.layout.clouds_yaml} cannot be read: there is no cloud yet, or you are not root.",
            remedy="Run 'sudo ./skerry up' first, and this with sudo.",
        )
    environment = {
        **os.environ,
        "OS_CLIENT_CONFIG_FILE": str(ctx.layout.clouds_yaml),
        "OS_CLOUD": ctx.cloud.name,
    }
    environment.pop("PYTHONPATH", None)
    program = ctx.layout.bin("openstack")
    os.execve(program, [program, *args.passed], environment)
