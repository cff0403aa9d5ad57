"""One-time ids: a handoff that was offered and accepted may begin once, from the engine that offered it, for a minute."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from skerry.cloudlet.peer.wire import Offer
from skerry.common.errors import RefusedError

_OFFERED = 60.0  # seconds
_KEPT = 3600.0  # how long is remembered what became of one
_MOST_OFFERED, _MOST = 32, 1024


@dataclass
class Ticket:
    """``state`` is offered, started, running, or void: once and for all not to run."""

    id: str
    peer: str
    offer: Offer
    overlays: list[str]
    made: float
    state: str = "offered"
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def settled(self) -> Iterator[None]:
        """The moment in which a VM begins to run. Raises RefusedError when its source has the answer that it does not."""
        with self.lock:
            if self.state != "started":
                raise RefusedError("the source has been answered meanwhile that the VM does not run here")
            yield
            self.state = "running"

    def end(self) -> None:
        """What does not run by now never will."""
        with self.lock:
            if self.state != "running":
                self.state = "void"


class Tickets:
    def __init__(self) -> None:
        self._every: dict[str, Ticket] = {}
        self._lock = threading.Lock()

    def new(self, peer: str, offer: Offer, overlays: list[str]) -> Ticket:
        """Raises RefusedError when there are too many already."""
        now = time.monotonic()
        with self._lock:
            for ticket in list(self._every.values()):
                age = now - ticket.made
                if age > _KEPT or (age > _OFFERED and ticket.state == "offered"):
                    del self._every[ticket.id]
            offered = [each for each in self._every.values() if each.state == "offered"]
            if len(offered) >= _MOST_OFFERED or len(self._every) >= _MOST:
                raise RefusedError("too many handoffs were offered and not started; try again in a minute")
            ticket = Ticket(secrets.token_hex(32), peer, offer, overlays, now)
            self._every[ticket.id] = ticket
        return ticket

    def begin(self, id: str, peer: str) -> Ticket:
        """Use an id. Raises RefusedError when it is unknown, another's, too old, or was used."""
        with self._lock:
            ticket = self._every.get(id)
            if ticket is None or ticket.peer != peer:
                raise RefusedError("no handoff with this id was accepted from you")
            if ticket.state != "offered":
                raise RefusedError("this id was used already")
            if time.monotonic() - ticket.made > _OFFERED:
                raise RefusedError(f"this id is older than {_OFFERED:.0f} s")
            ticket.state = "started"
        return ticket

    def runs(self, id: str, peer: str) -> bool:
        """Whether the VM of this handoff runs. After a no it never will."""
        with self._lock:
            ticket = self._every.get(id)
        if ticket is None or ticket.peer != peer:
            return False
        ticket.end()
        return ticket.state == "running"
