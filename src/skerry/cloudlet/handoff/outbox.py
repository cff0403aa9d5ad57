"""The sending half of a handoff: changed pages, by reference where the other side holds them, compressed to the link."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from skerry.cloudlet.handoff.batches import NO_PAGES, Batch, pack
from skerry.cloudlet.handoff.compression_level import Adapt
from skerry.cloudlet.handoff.inventory import Held
from skerry.cloudlet.overlay.encoder import Changes, Sources, finder, plan
from skerry.cloudlet.overlay.index import LITERAL, PageMap
from skerry.cloudlet.overlay.pages import PAGE, Digests, digests
from skerry.cloudlet.peer import wire
from skerry.cloudlet.peer.wire import Kind, PeerConnection, Seen

_FIRST = 256  # pages in a round's first batch: the link should not wait for long
_MOST = 2048  # pages in any batch: nor for one that is being packed
_PART = 8192  # pages that are looked for at a time
_UNDER_WAY = 2  # batches that were not yet seen by the other side
NOTHING = Changes(np.empty(0, np.uint32), NO_PAGES)


class Outbox:
    """Sends rounds of changes over a wire. Raises OSError, BadFrameError, PeerRefusedError."""

    def __init__(self, wire: PeerConnection, held: Held) -> None:
        self._wire = wire
        self._known = held.sources()
        self._sent: list[Digests] = []
        self._cores = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._cores)
        self.adapt = Adapt(self._cores)
        self._packing: deque[Future[tuple[bytes, int, int, float]]] = deque()
        self._under_way: deque[int] = deque()  # bytes of each batch
        self.backlog = 0  # pages of the current round that were not sent yet, at most
        self.pages = 0
        self.literals = 0
        self.levels: dict[int, int] = {}  # literals by level

    def send(self, memory: Changes, disk: Changes) -> None:
        """One round, to its last batch."""
        self.backlog = len(memory.numbers) + len(disk.numbers)
        self.pages += self.backlog
        size = _FIRST
        for part in (
            *((some, NOTHING) for some in _parts(memory)),
            *((NOTHING, some) for some in _parts(disk)),
        ):
            size = self._part(*part, size)
        while self._packing:
            self._one(*self._packing.popleft().result())
        self.backlog = 0

    def _part(self, memory: Changes, disk: Changes, size: int) -> int:
        """What goes over of some pages; the link is busy with those before meanwhile. Returns the next batch's size."""
        earlier = np.concatenate(self._sent) if self._sent else np.empty(0, "S32")
        known = self._known
        chosen = plan(
            memory, disk, Sources(known.base_disk, known.base_memory, [*known.parents, finder(earlier)])
        )
        count = len(chosen.literals)
        self.backlog -= len(memory.numbers) + len(disk.numbers) - count
        self.literals += count
        for (first, end), where, there in _cut(chosen.memory, chosen.disk, count, size):
            batch = Batch(where, there, chosen.literals[first:end])
            self._packing.append(self._pool.submit(_packed, batch, self.adapt.level()))
            size = min(size * 2, _MOST)
            if len(self._packing) > self._cores:
                self._one(*self._packing.popleft().result())
        self._sent.append(digests(chosen.literals))
        return size

    def all_seen(self) -> None:
        """Wait until the other side has all."""
        while self._under_way:
            self._seen()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _one(self, body: bytes, level: int, count: int, seconds: float) -> None:
        self.adapt.packed(level, count * PAGE, len(body), seconds)
        self.levels[level] = self.levels.get(level, 0) + count
        self._under_way.append(len(body))
        self._wire.send(Kind.BATCH, body)
        self.backlog -= count
        while len(self._under_way) > _UNDER_WAY:
            self._seen()

    def _seen(self) -> None:
        seen = wire.read(Seen, self._wire.receive(Kind.SEEN)[1])
        self.adapt.delivered(self._under_way.popleft(), seen.microseconds / 1e6)


def _packed(batch: Batch, level: int) -> tuple[bytes, int, int, float]:
    started = time.monotonic()
    body = pack(batch, level)
    return body, level, len(batch.literals), time.monotonic() - started


def _parts(changes: Changes) -> Iterator[Changes]:
    for first in range(0, len(changes.numbers), _PART):
        yield Changes(changes.numbers[first : first + _PART], changes.content[first : first + _PART])


def _cut(
    memory: PageMap, disk: PageMap, total: int, size: int
) -> Iterator[tuple[tuple[int, int], PageMap, PageMap]]:
    """Batches of some pages: literals from first to before end, and the pages that refer to them.

    Pages that need no literal go with the first one, which has ``size`` literals.
    """
    first, started = 0, False
    while first < total or not started:
        end, started = min(first + size, total), True
        yield (first, end), _of(memory, first, end), _of(disk, first, end)
        first, size = end, min(size * 2, _MOST)


def _of(where: PageMap, first: int, end: int) -> PageMap:
    literal = where.kinds == LITERAL
    mine = literal & (where.refs >= first) & (where.refs < end)
    chosen = mine | ~literal if first == 0 else mine
    refs = where.refs[chosen] - np.where(mine[chosen], np.uint32(first), np.uint32(0))
    return PageMap(where.pages[chosen], where.kinds[chosen], refs.astype(np.uint32))
