"""Looking for cloudlets: in a directory, or in the LAN; those that are found are ranked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skerry.cloudlet.discovery import directory as directories
from skerry.cloudlet.discovery import mdns, neighbours
from skerry.cloudlet.discovery.discovery import Found, Wanted, measure_all, rank
from skerry.cloudlet.discovery.mdns import Heard
from skerry.cloudlet.peer.identity import Identity


@dataclass(frozen=True)
class Search:
    """``found`` are cloudlets, the soonest first; ``strangers`` have proven nothing, and come with their round trips."""

    found: Sequence[Found]
    strangers: Sequence[tuple[Heard, float | None]]


def in_directory(identity: Identity, want: Wanted, directory: str) -> Search:
    """The cloudlets that a directory knows, without this one. Raises DirectoryError."""
    every = [each for each in directories.ask(identity, directory) if each.engine != identity.fingerprint]
    return Search(rank(every, want, measure_all([each.where for each in every])), ())


def in_the_lan(identity: Identity, want: Wanted, seconds: float, report: Callable[[str], None]) -> Search:
    """Those that are announced in the LAN, after listening for so long. Raises MulticastError."""
    heard = mdns.browse(seconds)
    if not heard:
        report(
            "no cloudlet is announced in the LAN; routers keep announcements back, and 'serve' on loopback makes none"
        )
    every, strangers = neighbours.tell_apart(identity, heard, report)
    found = rank(every, want, measure_all([each.where for each in every]))
    return Search(
        found, list(zip(strangers, measure_all([each.addresses[0] for each in strangers]), strict=True))
    )
