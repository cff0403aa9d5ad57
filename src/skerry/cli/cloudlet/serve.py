"""'skerry cloudlet serve'."""

from __future__ import annotations

import argparse
import signal

from skerry.cli.cloudlet.common import listen_arguments, opened, report
from skerry.cli.values import whole
from skerry.cloudlet.handoff import service
from skerry.cloudlet.handoff.daemon import HandoffServer
from skerry.cloudlet.peer.identity import Identity


def arguments(parser: argparse.ArgumentParser) -> None:
    listen_arguments(parser, 8022)
    parser.add_argument(
        "--most", type=whole(1, 1000), default=2, metavar="COUNT", help="VMs that arrive at a time"
    )
    parser.add_argument(
        "--most-memory",
        type=whole(1, 1 << 30),
        default=65536,
        metavar="MIB",
        help="refuse VMs with more memory",
    )
    allow = "take VMs, too, that may reach other hosts and this one's loopback"
    parser.add_argument("--outbound", action="store_true", help=allow)
    parser.add_argument("--directory", metavar="HOST[:PORT]", help="register there, again and again")
    parser.add_argument(
        "--no-mdns", action="store_true", help="be silent in the LAN (on loopback it always is)"
    )
    parser.add_argument(
        "--name", default="cloudlet", help="what it is called there and in the LAN (default: cloudlet)"
    )
    parser.add_argument(
        "--advertise", metavar="HOST:PORT", help="where others reach it (default: where it listens)"
    )
    parser.add_argument("--location", metavar="LATITUDE,LONGITUDE", help="in degrees, like 59.33,18.06")


def run(args: argparse.Namespace) -> int:
    store = opened(args)
    identity = Identity(store.root / "keys")
    server = HandoffServer(
        store,
        args.listen,
        args.port,
        most=args.most,
        most_mib=args.most_memory,
        outbound=args.outbound,
        report=report,
    )
    where = args.advertise or service.address_of(args.listen, server.port)
    server.about = service.description(store, identity, args.name, where, args.location)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    with service.announced(
        server, identity, directory=args.directory, multicast=not args.no_mdns, report=report
    ):
        print(f"serving on {args.listen} port {server.port}, as {identity.fingerprint[:16]}", flush=True)
        if not identity.peers():
            report("paired with nobody yet: 'skerry cloudlet pair FILE' with the other engine's certificate")
        server.run()
    return 0
