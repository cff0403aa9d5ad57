"""An engine as others see it: it describes itself to paired ones, and is announced in the LAN and to a directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from skerry.cloudlet.discovery import directory as directories
from skerry.cloudlet.discovery import mdns
from skerry.cloudlet.discovery.discovery import Cloudlet, Location, describe
from skerry.cloudlet.errors import MulticastError
from skerry.cloudlet.handoff.daemon import HandoffServer
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.peer.identity import Identity
from skerry.common.errors import UsageError

Say = Callable[[str], None]


def description(
    store: Store, identity: Identity, name: str, where: str, location: str | None
) -> Callable[[], Cloudlet]:
    """What this engine reports of itself now, and whenever it is asked.

    ``location`` is latitude and longitude in degrees, as ``59.33,18.06``. Raises UsageError, PreflightError.
    """
    place = None
    try:
        if location:
            latitude, longitude = map(float, location.split(","))
            place = Location(latitude=latitude, longitude=longitude)
        about = partial(describe, store, name, identity.fingerprint, where, place)
        about()  # some of it takes seconds when it is asked for the first time
    except ValueError:
        raise UsageError(
            "--name, --advertise or --location is not of the form that 'serve --help' shows."
        ) from None
    return about


def address_of(listen: str, port: int) -> str:
    """Where others reach an engine that listens there."""
    address = listen.partition("%")[0]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def announce(server: HandoffServer, engine: str, report: Say) -> mdns.Announcement | None:
    """Announce an engine in the LAN. One that cannot be announced serves all the same."""
    addresses = mdns.announced(server.address, mdns.own_interfaces())
    if not addresses:
        return None
    try:
        announcement = mdns.Announcement(engine, addresses, server.port)
    except MulticastError as error:
        report(f"not announced in the LAN: {error}")
        return None
    report(f"announced in the LAN at {', '.join(addresses)}")
    return announcement


@contextmanager
def announced(
    server: HandoffServer, identity: Identity, *, directory: str | None, multicast: bool, report: Say
) -> Iterator[None]:
    """While it lasts, a server that has its ``about`` is announced to a directory, if one is given, and in the LAN."""
    about = server.about
    with ExitStack() as ends:
        if directory and about:
            beat = directories.Heartbeat(lambda: directories.register(identity, directory, about()), report)
            ends.enter_context(closing(beat))
        if multicast and (announcement := announce(server, identity.fingerprint, report)):
            ends.enter_context(closing(announcement))
        yield
