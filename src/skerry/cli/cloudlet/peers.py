"""The verbs of 'skerry cloudlet' that other engines take part in."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
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
        metavar="HOST[:PORT]",
        help="ask this directory, which this engine is paired with; without it: look in the LAN",
    )
    discover.add_argument(
        "--seconds", type=float, default=2.0, help="how long to listen in the LAN (default: 2)"
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
    serve.add_argument(
        "--no-mdns", action="store_true", help="be silent in the LAN (on loopback it always is)"
    )
    serve.add_argument(
        "--name", default="cloudlet", help="what it is called there and in the LAN (default: cloudlet)"
    )
    serve.add_argument(
        "--advertise", metavar="HOST:PORT", help="where others reach it (default: where it listens)"
    )
    serve.add_argument("--location", metavar="LATITUDE,LONGITUDE", help="in degrees, like 59.33,18.06")


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def _handoff(store: Any, args: argparse.Namespace) -> Any:
    from skerry.cloudlet.handoff.source import handoff

    return asdict(handoff(store, args.session, args.destination, rename=args.rename, say=say))


def _serve(store: Any, args: argparse.Namespace) -> None:
    from skerry.cloudlet.handoff.daemon import Server
    from skerry.cloudlet.peer.identity import Identity

    identity = Identity(store.root / "keys")
    server = Server(
        store, args.listen, args.port, most=args.most, most_mib=args.most_memory, outbound=args.outbound, say=say
    )  # fmt: skip
    server.about = _about(store, args, identity, server.port)
    heartbeat = _heartbeat(args, identity, server.about) if args.directory else None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    announcement = None if args.no_mdns else announce(server, identity.fingerprint)
    print(f"serving on {args.listen} port {server.port}, as {identity.fingerprint[:16]}", flush=True)
    if not identity.peers():
        say("paired with nobody yet: 'skerry cloudlet pair FILE' with the other engine's certificate")
    server.run()
    for each in (heartbeat, announcement):
        if each:
            each.close()


def announce(server: Any, engine: str) -> Any:
    """Say in the LAN that it serves. An engine that cannot serves all the same."""
    from skerry.cloudlet.discovery import mdns
    from skerry.cloudlet.errors import MulticastError

    addresses = mdns.announced(server.address, mdns.own_interfaces())
    if not addresses:
        return None
    try:
        announcement = mdns.Announcement(engine, addresses, server.port)
    except MulticastError as error:
        say(f"not announced in the LAN: {error}")
        return None
    say(f"announced in the LAN at {', '.join(addresses)}")
    return announcement


def _about(store: Any, args: argparse.Namespace, identity: Any, port: int) -> Callable[[], Any]:
    """What this engine says of itself, now and whenever it is asked. Raises UsageError, PreflightError."""
    from skerry.cloudlet.discovery import discovery

    location = None
    address = args.listen.partition("%")[0]
    where = args.advertise or (f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
    try:
        if args.location:
            latitude, longitude = map(float, args.location.split(","))
            location = discovery.Location(latitude=latitude, longitude=longitude)
        about = partial(discovery.describe, store, args.name, identity.fingerprint, where, location)
        about()  # some of it takes seconds when it is asked for the first time
    except ValueError:
        raise UsageError(
            "--name, --advertise or --location is not of the form that 'serve --help' shows."
        ) from None

    return about


def _heartbeat(args: argparse.Namespace, identity: Any, about: Callable[[], Any]) -> Any:
    from skerry.cloudlet.discovery import directory

    return directory.Heartbeat(lambda: directory.register(identity, args.directory, about()), say)


def _directory(store: Any, args: argparse.Namespace) -> None:
    from skerry.cloudlet.discovery.directory import Directory
    from skerry.cloudlet.peer.identity import Identity

    identity = Identity(store.root / "keys")
    server = Directory(identity, args.listen, args.port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    port = server.server_address[1]
    print(f"directory on {args.listen} port {port}, as {identity.fingerprint[:16]}", flush=True)
    server.serve_forever()
    server.server_close()


def _discover(store: Any, args: argparse.Namespace) -> Any:
    from skerry.cloudlet.discovery import directory, discovery
    from skerry.cloudlet.peer.identity import Identity

    identity = Identity(store.root / "keys")
    want = discovery.wanted(store, args.wanted)
    strangers: list[Any] = []
    if args.directory:
        own = identity.fingerprint
        every = [each for each in directory.ask(identity, args.directory) if each.engine != own]
    else:
        if not 0 <= args.seconds <= 600:
            raise UsageError("--seconds is a number from 0 to 600.")
        every, strangers = _in_the_lan(identity, args.seconds)
    found = discovery.rank(every, want, discovery.measure_all([each.where for each in every]))
    paired = set(identity.peers())
    ways = discovery.measure_all([each.addresses[0] for each in strangers])
    rows = [_row(one, one.cloudlet.engine in paired, args.json) for one in found]
    return rows + [_strangers_row(each, rtt, args.json) for each, rtt in zip(strangers, ways, strict=True)]


def _in_the_lan(identity: Any, seconds: float) -> tuple[list[Any], list[Any]]:
    from skerry.cloudlet.discovery import mdns, neighbours

    heard = mdns.browse(seconds)
    if not heard:
        say("nobody is announced in the LAN; routers keep announcements back, 'serve' on loopback makes none")
    return neighbours.tell_apart(identity, heard, say)


def _row(one: Any, paired: bool, as_json: bool) -> dict[str, Any]:
    if as_json:
        return {**asdict(one), "cloudlet": one.cloudlet.model_dump(), "paired": paired}
    return {
        "name": one.cloudlet.name,
        "where": one.cloudlet.where,
        "rtt_ms": _milliseconds(one.rtt),
        "holds": one.held or "-",
        "cpus": one.cloudlet.cpus,
        "load": one.cloudlet.load,
        "memory_mib": one.cloudlet.memory_mib,
        "paired": "yes" if paired else "no",
    }


def _strangers_row(heard: Any, rtt: float | None, as_json: bool) -> dict[str, Any]:
    """Of one that has proven nothing: where it says to be, as whom, and no more."""
    if as_json:
        told = {"engine": heard.engine, "where": heard.addresses[0]}
        return {"cloudlet": told, "rtt": rtt, "held": "", "seconds": None, "paired": False}
    unknown = dict.fromkeys(("holds", "cpus", "load", "memory_mib"), "-")
    told = {"name": f"{heard.engine[:16]}?", "where": heard.addresses[0], "rtt_ms": _milliseconds(rtt)}
    return {**told, **unknown, "paired": "no"}


def _milliseconds(rtt: float | None) -> Any:
    return "no answer" if rtt is None else round(rtt * 1000, 1)


def _pair(store: Any, args: argparse.Namespace) -> Any:
    from skerry.cloudlet.peer.identity import Identity

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
