"""'skerry cloudlet directory'."""

from __future__ import annotations

import argparse
import signal
import threading

from skerry.cli.cloudlet.common import listen_arguments, opened
from skerry.cloudlet.discovery.directory import PORT, Directory
from skerry.cloudlet.peer.identity import Identity


def arguments(parser: argparse.ArgumentParser) -> None:
    listen_arguments(parser, PORT)


def run(args: argparse.Namespace) -> int:
    identity = Identity(opened(args).root / "keys")
    server = Directory(identity, args.listen, args.port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    port = server.server_address[1]
    print(f"directory on {args.listen} port {port}, as {identity.fingerprint[:16]}", flush=True)
    server.serve_forever()
    server.server_close()
    return 0
