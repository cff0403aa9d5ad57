"""The verbs of 'skerry cloudlet' that other engines take part in."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from skerry.common.errors import NotFoundError, UsageError


def arguments(parts: Any) -> None:
    handoff = parts.add_parser("handoff", help="move a running VM to another engine, while it runs")
    handoff.add_argument("session", help="a session")
    handoff.add_argument(
        "destination",
        metavar="HOST[:PORT]",
        help="where 'serve' runs, of an engine that this one is paired with",
    )
    handoff.add_argument("--rename", default="", metavar="NAME", help="what the session is called there")
    _serve_arguments(parts.add_parser("serve", help="take VMs over from paired engines, until it is ended"))
    directory = parts.add_parser(
        "directory", help="keep a list of the cloudlets that are there, until it is ended"
    )
    _listen_arguments(directory, 8021)
    discover = parts.add_parser("discover", help="cloudlets, the one where a VM would run soonest first")
    discover.add_argument(
        "wanted",
        nargs="?",
        default="",
        metavar="SESSION|OVERLAY|BASE",
        help="what is to run there; none: anything",
    )
    discover.add_argument(
        "--directory",
        required=True,
        metavar="HOST[:PORT]",
        help="a directory that this engine is paired with",
    )
    pair = parts.add_parser(
        "pair", help="believe the engine with this certificate; without one: print one's own"
    )
    pair.add_argument(
        "certificate", metavar="FILE", nargs="?", help="what 'pair' printed at the other engine"
    )
    pair.add_argument("--remove", metavar="FINGERPRINT", help="believe an engine no longer")
    for part in (handoff, discover, pair):
        part.add_argument("--json", action="store_true", help="print the result as JSON")


def _listen_arguments(parser: argparse.ArgumentParser, port: int) -> None:
    parser.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS", help="(default: loopback)")
    parser.add_argument("--port", type=int, default=port, help=f"TCP; 0: any free one (default: {port})")


def _serve_arguments(serve: argparse.ArgumentParser) -> None:
    _listen_arguments(serve, 8022)
    serve.add_argument("--most", type=int, default=2, metavar="COUNT", help="VMs that arrive at a time")
    serve.add_argument(
        "--most-memory", type=int, default=65536, metavar="MIB", help="refuse VMs with more memory"
    )
    allow = "take VMs, too, that may reach other hosts and this one's loopback"
    serve.add_argument("--outbound", action="store_true", help=allow)
    serve.add_argument(
        "--directory", metavar="HOST[:PORT]", help="say there, again and again, that it serves"
    )
    serve.add_argument("--name", default="cloudlet", help="what it is called there (default: cloudlet)")
    serve.add_argument(
        "--advertise", metavar="HOST:PORT", help="where others reach it (default: where it listens)"
    )
    serve.add_argument("--location", metavar="LATITUDE,LONGITUDE", help="in degrees, like 59.33,18.06")


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def _handoff(store: Any, args: argparse.Namespace) -> Any:
    from skerry.cloudlet.handoff import handoff

    return asdict(handoff(store, args.session, args.destination, rename=args.rename, say=say))


def _serve(store: Any, args: argparse.Namespace) -> None:
    from skerry.cloudlet.identity import Identity
    from skerry.cloudlet.serve import Server

    identity = Identity(store.root / "keys")
    server = Server(
        store, args.listen, args.port, most=args.most, most_mib=args.most_memory, outbound=args.outbound, say=say
    )  # fmt: skip
    heartbeat = _heartbeat(store, args, identity, server.port) if args.directory else None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    print(f"serving on {args.listen} port {server.port}, as {identity.fingerprint[:16]}", flush=True)
    if not identity.peers():
        say("paired with nobody yet: 'skerry cloudlet pair FILE' with the other engine's certificate")
    server.run()
    if heartbeat:
        heartbeat.close()


def _heartbeat(store: Any, args: argparse.Namespace, identity: Any, port: int) -> Any:
    from skerry.cloudlet import directory, discovery

    location = None
    address = f"[{args.listen}]" if ":" in args.listen else args.listen
    where = args.advertise or f"{address}:{port}"
    try:
        if args.location:
            latitude, longitude = map(float, args.location.split(","))
            location = discovery.Location(latitude=latitude, longitude=longitude)
        discovery.describe(store, args.name, identity.fingerprint, where, location)
    except ValueError:
        raise UsageError(
            "--name, --advertise or --location is not of the form that 'serve --help' shows."
        ) from None

    def beat() -> None:
        me = discovery.describe(store, args.name, identity.fingerprint, where, location)
        directory.register(identity, args.directory, me)

    return directory.Heartbeat(beat, say)


def _directory(store: Any, args: argparse.Namespace) -> None:
    from skerry.cloudlet.directory import Directory
    from skerry.cloudlet.identity import Identity

    identity = Identity(store.root / "keys")
    server = Directory(identity, args.listen, args.port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    port = server.server_address[1]
    print(f"directory on {args.listen} port {port}, as {identity.fingerprint[:16]}", flush=True)
    server.serve_forever()
    server.server_close()


def _discover(store: Any, args: argparse.Namespace) -> Any:
    from skerry.cloudlet import directory, discovery
    from skerry.cloudlet.identity import Identity

    identity = Identity(store.root / "keys")
    want = discovery.wanted(store, args.wanted)
    own, paired = identity.fingerprint, set(identity.peers())
    every = [each for each in directory.ask(identity, args.directory) if each.engine != own]
    found = discovery.rank(every, want, discovery.measure_all([each.where for each in every]))
    if args.json:
        return [
            {**asdict(one), "cloudlet": one.cloudlet.model_dump(), "paired": one.cloudlet.engine in paired}
            for one in found
        ]
    return [
        {
            "name": one.cloudlet.name,
            "where": one.cloudlet.where,
            "rtt_ms": "no answer" if one.rtt is None else round(one.rtt * 1000, 1),
            "holds": one.held or "-",
            "cpus": one.cloudlet.cpus,
            "load": one.cloudlet.load,
            "memory_mib": one.cloudlet.memory_mib,
            "paired": "yes" if one.cloudlet.engine in paired else "no",
        }
        for one in found
    ]


def _pair(store: Any, args: argparse.Namespace) -> Any:
    from skerry.cloudlet.identity import Identity

    identity = Identity(store.root / "keys")
    if args.remove:
        return {"removed": identity.part(args.remove)}
    if args.certificate:
        path = Path(args.certificate)
        if not path.is_file():
            raise NotFoundError(f"There is no file {path}.")
        return {"paired": identity.pair(path.read_text(errors="replace"))}
    if args.json:
        peers = identity.peers()
        return {"certificate": identity.certificate(), "fingerprint": identity.fingerprint, "peers": peers}
    print(identity.certificate(), end="")
    return None


VERBS = {
    "handoff": _handoff,
    "serve": _serve,
    "directory": _directory,
    "discover": _discover,
    "pair": _pair,
}
