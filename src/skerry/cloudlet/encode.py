"""From the pages of a paused VM to the smallest overlay: deduplication, order, compression."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from skerry.cloudlet.index import BASE_DISK, BASE_MEMORY, LITERAL, PARENT, ZERO, Index, PageMap
from skerry.cloudlet.keys import Keys
from skerry.cloudlet.machine import Machine
from skerry.cloudlet.manifest import HEAD, MAGIC, Blob, Manifest, message
from skerry.cloudlet.pages import Digests, Finder, Numbers, Pages, digests, nonzero
from skerry.cloudlet.segments import LEVEL, compress, cut, pack

NONE = np.empty(0, np.uint32)


@dataclass(frozen=True)
class Sources:
    """Where content can be found that need not be carried: the base, and literals of overlays below."""

    base_disk: Finder
    base_memory: Finder
    parents: Sequence[Finder] = ()


@dataclass(frozen=True)
class Changes:
    """Changed pages: their numbers, ascending, and their content."""

    numbers: Numbers
    content: Pages


@dataclass(frozen=True)
class Plan:
    """What to carry: literals in order, the first ``warm`` of which are the working set."""

    memory: PageMap
    disk: PageMap
    literals: Pages
    warm: int


def plan(
    memory: Changes,
    disk: Changes,
    sources: Sources,
    warm_memory: Numbers = NONE,
    warm_disk: Numbers = NONE,
) -> Plan:
    """Find a source for each changed page, and an order for what must be carried.

    First comes what a recorded working set touched, in that order; then the disk's pages and with them those
    of memory that hold the same, in the order of the disk, where files are contiguous and compress best; then
    what only memory holds.
    """
    count = len(memory.numbers)
    content = np.concatenate([memory.content, disk.content]) if len(disk.numbers) else memory.content
    kinds = np.full(len(content), ZERO, np.uint8)
    refs = np.zeros(len(content), np.uint32)
    open_ = np.flatnonzero(nonzero(content))
    sums = digests(content[open_])
    known = [(BASE_DISK, sources.base_disk), (BASE_MEMORY, sources.base_memory)]
    known += [(PARENT + number, finder) for number, finder in enumerate(sources.parents)]
    for kind, finder in known:
        hit, numbers = finder.find(sums)
        kinds[open_[hit]], refs[open_[hit]] = kind, numbers[hit]
        open_, sums = open_[~hit], sums[~hit]
    kinds[open_] = LITERAL
    _, first, which = np.unique(sums, return_index=True, return_inverse=True)
    order, warm = _order(open_, which, len(first), count, (memory, disk), (warm_memory, warm_disk))
    place = np.empty(len(order), np.uint32)
    place[order] = np.arange(len(order), dtype=np.uint32)
    refs[open_] = place[which]
    return Plan(
        PageMap(memory.numbers, kinds[:count], refs[:count]),
        PageMap(disk.numbers, kinds[count:], refs[count:]),
        content[open_[first[order]]],
        warm,
    )


def _order(
    places: NDArray[np.intp],
    which: NDArray[np.intp],
    total: int,
    memory_count: int,
    changes: tuple[Changes, Changes],
    warm: tuple[Numbers, Numbers],
) -> tuple[NDArray[np.intp], int]:
    """An order of the distinct contents, and how many of them are warm."""
    far = np.int64(1) << 40
    rank = np.full(total, 4 * far, np.int64)
    for is_disk, (change, touched) in enumerate(zip(changes, warm, strict=True)):
        mine = places >= memory_count if is_disk else places < memory_count
        numbers = change.numbers[places[mine] - (memory_count if is_disk else 0)].astype(np.int64)
        # Disk before memory: 1 is the disk's, 2 the memory's.
        ranks = numbers + far * (1 if is_disk else 2)
        if len(touched):
            unique, when = np.unique(touched, return_index=True)
            at = np.minimum(np.searchsorted(unique, numbers), len(unique) - 1)
            hit = unique[at] == numbers
            ranks[hit] = when[at[hit]]
        np.minimum.at(rank, which[mine], ranks)
    return np.argsort(rank, kind="stable"), int((rank < far).sum())


@dataclass(frozen=True)
class Made:
    """An overlay as bytes: a head with its manifest, and what follows."""

    manifest: Manifest
    parts: list[bytes]


def make(
    chosen: Plan,
    state: bytes,
    *,
    name: str,
    base: str,
    machine: Machine,
    disk_pages: int,
    keys: Keys,
    parents: Sequence[str] = (),
    level: int = LEVEL,
) -> Made:
    """Compress, list and sign. ``state`` is the device state without pages (skerry.cloudlet.stream)."""
    blobs, table = pack(chosen.literals, cut(chosen.warm, len(chosen.literals)), level)
    raw_index = Index(chosen.memory, chosen.disk, table).pack()
    index, small_state = compress(raw_index, 19 if len(raw_index) < 1 << 22 else 9), compress(state, 12)
    manifest = Manifest(
        name=name,
        base=base,
        machine=machine,
        disk_pages=disk_pages,
        index=Blob(len(index), len(raw_index), hashlib.sha256(index).hexdigest()),
        state=Blob(len(small_state), len(state), hashlib.sha256(small_state).hexdigest()),
        segments=sum(map(len, blobs)),
        signer=keys.public().hex(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        parents=tuple(parents),
    )
    packed = manifest.pack()
    head = HEAD.pack(MAGIC, len(packed)) + packed + keys.sign(message(packed))
    return Made(manifest, [head, index, small_state, *blobs])


def finder(content: Digests) -> Finder:
    """A finder of literals, from their digests in order."""
    return Finder(np.arange(len(content), dtype=np.uint32), content)
