"""The cloudlets of the LAN: those that were heard of, distinguished by what they can prove."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from skerry.cloudlet.discovery.discovery import Cloudlet
from skerry.cloudlet.discovery.mdns import Heard
from skerry.cloudlet.errors import HandoffError, NeighbourError, PeerRefusedError
from skerry.cloudlet.peer import wire
from skerry.cloudlet.peer.identity import Identity
from skerry.cloudlet.peer.wire import BadFrameError, Kind

_TIMEOUT = 3.0  # seconds, for a connection and for each answer
_AT_A_TIME = 32


def ask(identity: Identity, where: str, engine: str) -> Cloudlet:
    """What ``engine`` reports of itself, once whoever is at ``where`` has proven to be it. Raises NeighbourError."""
    try:
        link = wire.connect(identity, where, timeout=_TIMEOUT)
    except HandoffError as error:
        raise NeighbourError(where, error.args[1]) from None
    try:
        if link.peer != engine:
            raise NeighbourError(where, f"it claims to be {engine[:16]}, and is {link.peer[:16]}")
        link.send(Kind.ASK)
        told = wire.read(Cloudlet, link.receive(Kind.CLOUDLET, timeout=_TIMEOUT)[1])
    except PeerRefusedError as error:
        raise NeighbourError(where, error.args[1]) from None
    except ssl.SSLError:
        raise NeighbourError(where, "it does not believe this engine's certificate") from None
    except (OSError, BadFrameError) as error:
        raise NeighbourError(where, error) from None
    finally:
        link.close()
    if told.engine != engine:
        raise NeighbourError(where, f"it speaks for another engine, {told.engine[:16]}")
    return told.model_copy(update={"where": where})


def tell_apart(
    identity: Identity, heard: Sequence[Heard], report: Callable[[str], None]
) -> tuple[list[Cloudlet], list[Heard]]:
    """Paired engines with what they report of themselves, and the others, which are not asked.

    Who claims to be a paired engine and cannot prove it is one of the others, with the reason. This engine is left out.
    """
    own, paired = identity.fingerprint, set(identity.peers())
    others = [each for each in heard if each.engine not in paired and each.engine != own]
    asked = [each for each in heard if each.engine in paired and each.engine != own]

    def one(each: Heard) -> Cloudlet | list[NeighbourError]:
        troubles = []
        for where in each.addresses:
            try:
                return ask(identity, where, each.engine)
            except NeighbourError as error:
                troubles.append(error)
        return troubles

    proven = []
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for each, answer in zip(asked, pool.map(one, asked), strict=True):
            if isinstance(answer, Cloudlet):
                proven.append(answer)
                continue
            others.append(each)
            for trouble in answer:
                report(str(trouble))
    return proven, others
