"""'skerry cloudlet pair'."""

from __future__ import annotations

import argparse
from pathlib import Path

from skerry.cli.cloudlet.common import json_argument, opened, show, text_of
from skerry.cloudlet.peer.identity import Identity


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "certificate", type=Path, metavar="FILE", nargs="?", help="what 'pair' printed at the other engine"
    )
    parser.add_argument("--remove", metavar="FINGERPRINT", help="trust an engine no longer")
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    identity = Identity(opened(args).root / "keys")
    if args.remove:
        return show({"removed": identity.part(args.remove)}, args)
    if args.certificate:
        return show({"paired": identity.pair(text_of(args.certificate))}, args)
    if args.json:
        about = {"certificate": identity.certificate(), "fingerprint": identity.fingerprint}
        return show({**about, "peers": identity.peers()}, args)
    print(identity.certificate(), end="")
    return 0
