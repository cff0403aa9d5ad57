"""'skerry openstack'."""

from __future__ import annotations

import argparse

from skerry.cloud.context import Context
from skerry.cloud.operations.client import client
from skerry.common import proc


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "skerry openstack ARGUMENT..."


def run(args: argparse.Namespace) -> int:
    program, environment = client(Context.existing(args.root))
    proc.become([program, *args.passed], env=environment)
