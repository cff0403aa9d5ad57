"""Finding a cloudlet: what each reports of itself, how far it is, and which one a VM would run at soonest."""

from __future__ import annotations

import os
import socket
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.peer.wire import Id, Message
from skerry.cloudlet.session import session as sessions
from skerry.cloudlet.vm import qemu
from skerry.common.errors import NotFoundError

_MOST_HELD = 512
_PROBES = 3
_FAR = 2.0  # seconds without an answer

# What a VM waits for, in seconds; rough, and only to compare cloudlets with one another.
_TURNS = 10  # round trips of a handoff or a synthesis, besides its transfer
_FETCH_OVERLAY, _NO_BASE = 15.0, 600.0

Where = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]{1,253}):\d{1,5}$")]


class Location(Message):
    """Degrees."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]


class Cloudlet(Message):
    """What an engine reports of itself. ``memory_mib`` is what is free; ``load`` is how many processes want a processor."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    engine: Id
    where: Where
    features: Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=32)]
    bases: Annotated[list[Id], Field(max_length=_MOST_HELD)]
    overlays: Annotated[list[Id], Field(max_length=_MOST_HELD)]
    cpus: Annotated[int, Field(ge=1, le=4096)]
    load: Annotated[float, Field(ge=0, le=1e5)]
    memory_mib: Annotated[int, Field(ge=0, le=1 << 30)]
    sessions: Annotated[int, Field(ge=0, le=1 << 20)]
    location: Location | None = None


def describe(store: Store, name: str, engine: str, where: str, location: Location | None) -> Cloudlet:
    """This engine, now."""
    major, minor = qemu.version()
    return Cloudlet(
        name=name, engine=engine, where=where, location=location,
        features=["handoff-1", f"qemu-{major}.{minor}", qemu.accelerator()],
        bases=[base.id for base in store.bases()][:_MOST_HELD],
        overlays=[overlay.manifest.id for overlay in store.overlays()][:_MOST_HELD],
        cpus=os.cpu_count() or 1, load=round(os.getloadavg()[0], 2), memory_mib=_free_mib(),
        sessions=sum(each.state != "dead" for each in sessions.listed(store)),
    )  # fmt: skip


def _free_mib() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) >> 10
    return 0


@dataclass(frozen=True)
class Wanted:
    """What is to run: a base, overlays on it, and the guest's memory in MiB. Empty: anything."""

    base: str = ""
    overlays: Sequence[str] = ()
    memory_mib: int = 0


@dataclass(frozen=True)
class Found:
    """A cloudlet, the round trip to it in seconds (None: it does not answer), and about when a VM would run there."""

    cloudlet: Cloudlet
    rtt: float | None
    held: str
    seconds: float


def wanted(store: Store, word: str) -> Wanted:
    """What a session, an overlay or a base of this store needs. Raises NotFoundError."""
    if not word:
        return Wanted()
    if sessions.folder_of(store, word).is_dir():
        session = sessions.find(store, word)[0]
        base, overlay = session.base, session.overlay
    else:
        try:
            manifest = store.open_overlay(word).manifest
            base, overlay = manifest.base, manifest.id
        except NotFoundError:
            base, overlay = store.base(word).id, ""
    return Wanted(base, [overlay] if overlay else [], store.base(base).machine.memory_mib)


def rank(cloudlets: Sequence[Cloudlet], want: Wanted, rtts: Sequence[float | None]) -> list[Found]:
    """The soonest first: round trips, what would have to be fetched, and how busy it is."""
    found = []
    for each, rtt in zip(cloudlets, rtts, strict=True):
        held = "overlay" if want.overlays and set(want.overlays) <= set(each.overlays) else ""
        has_base = not want.base or want.base in each.bases
        held = held if held and has_base else "base" if has_base and want.base else ""
        seconds = (
            _NO_BASE if not has_base else 0.0 if held == "overlay" or not want.overlays else _FETCH_OVERLAY
        )
        seconds += _TURNS * (rtt if rtt is not None else _NO_BASE)
        # A processor that is shared by more than it has cores, or memory that is not there.
        seconds = (seconds + 1) * max(1.0, (each.load + 1) / each.cpus)
        if want.memory_mib > each.memory_mib:
            seconds += _NO_BASE
        found.append(Found(each, rtt, held, round(seconds, 3)))
    return sorted(found, key=lambda one: (one.seconds, one.cloudlet.name))


def measure_all(addresses: Sequence[str]) -> list[float | None]:
    """The same for several, a few at a time."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(measure, addresses))


def measure(where: str) -> float | None:
    """The round trip to an address in seconds: the median time that a TCP connection takes; None: no answer."""
    host, _, port = where.rpartition(":")
    seen = []
    for _ in range(_PROBES):
        started = time.monotonic()
        try:
            socket.create_connection((host.strip("[]"), int(port)), _FAR).close()
        except (OSError, OverflowError):
            return None
        seen.append(time.monotonic() - started)
    return statistics.median(seen)
