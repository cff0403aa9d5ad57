"""From the pages of a paused VM to the smallest overlay: deduplication, order, compression."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.index import BASE_DISK, BASE_MEMORY, LITERAL, PARENT, ZERO, Index, PageMap
from skerry.cloudlet.overlay.keys import Keys
from skerry.cloudlet.overlay.manifest import HEAD, MAGIC, Blob, Manifest, message
from skerry.cloudlet.overlay.pages import Digests, Finder, Numbers, Pages, digests, nonzero
from skerry.cloudlet.overlay.segments import LEVEL, Areas, compress, cut, pack

NONE = np.empty(0, np.uint32)
# Pages on either side of one that was touched, of memory for what only memory has, else of the disk:
CLOSE = 8  # what it touches next, often
NEAR = 512  # other parts of its file


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
class EncodingPlan:
    """What to carry: literals in order, the first ``areas.warm`` of which are the working set."""

    memory: PageMap
    disk: PageMap
    literals: Pages
    areas: Areas


def plan(
    memory: Changes,
    disk: Changes,
    sources: Sources,
    warm_memory: Numbers = NONE,
    warm_disk: Numbers = NONE,
) -> EncodingPlan:
    """Find a source for each changed page, and an order for what must be carried.

    First comes what a recorded working set touched, in that order, and what is close to it; then what only memory
    holds; then what memory and disk hold, in the order of the disk, where files are contiguous: first the wider
    neighbourhood of what was touched; and last what only the disk holds, which nobody has read since it was written.
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
    order, areas = _order(open_, which, len(first), count, (memory, disk), (warm_memory, warm_disk))
    place = np.empty(len(order), np.uint32)
    place[order] = np.arange(len(order), dtype=np.uint32)
    refs[open_] = place[which]
    return EncodingPlan(
        PageMap(memory.numbers, kinds[:count], refs[:count]),
        PageMap(disk.numbers, kinds[count:], refs[count:]),
        content[open_[first[order]]],
        areas,
    )


def _order(
    places: NDArray[np.intp],
    which: NDArray[np.intp],
    total: int,
    memory_count: int,
    changes: tuple[Changes, Changes],
    warm: tuple[Numbers, Numbers],
) -> tuple[NDArray[np.intp], Areas]:
    """An order of the distinct contents, and where each class of them ends."""
    never = np.int64(1) << 40
    when, *numbers_in = (np.full(total, never, np.int64) for _ in range(3))
    for is_disk, (change, touched) in enumerate(zip(changes, warm, strict=True)):
        mine = places >= memory_count if is_disk else places < memory_count
        numbers = change.numbers[places[mine] - (memory_count if is_disk else 0)].astype(np.int64)
        np.minimum.at(numbers_in[is_disk], which[mine], numbers)
        if len(touched):
            unique, moments = np.unique(touched, return_index=True)
            at = np.minimum(np.searchsorted(unique, numbers), len(unique) - 1)
            hit = unique[at] == numbers
            np.minimum.at(when, which[mine][hit], moments[at[hit]])
    in_memory, on_disk = numbers_in
    alone, is_warm = on_disk == never, when < never
    # A file's pages are together on the disk, not in memory.
    apart = np.where(alone, _apart(in_memory, in_memory[is_warm]), _apart(on_disk, on_disk[is_warm & ~alone]))
    classes = [is_warm, apart <= CLOSE, alone, apart <= NEAR, in_memory < never]
    area = np.select(classes, range(len(classes)), len(classes))
    position = np.select([is_warm, alone], [when, in_memory], on_disk)
    ends = np.cumsum(np.bincount(area, minlength=len(classes) + 1)).tolist()
    return np.lexsort((position, area)), Areas(*ends)


def _apart(numbers: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """How far each number is from the nearest of ``others``."""
    others = np.sort(np.append(others, -(1 << 41)))
    at = np.searchsorted(others, numbers)
    below, above = others[np.maximum(at - 1, 0)], others[np.minimum(at, len(others) - 1)]
    apart: NDArray[np.int64] = np.minimum(np.abs(numbers - below), np.abs(above - numbers))
    return apart


@dataclass(frozen=True)
class Made:
    """An overlay as bytes: a head with its manifest, and what follows."""

    manifest: Manifest
    parts: list[bytes]


def make(
    chosen: EncodingPlan,
    state: bytes,
    *,
    name: str,
    base: Base,
    keys: Keys,
    parents: Sequence[str] = (),
    level: int = LEVEL,
) -> Made:
    """Compress, list and sign. ``state`` is the device state without pages (skerry.cloudlet.vm.stream)."""
    blobs, table = pack(chosen.literals, cut(chosen.areas), level)
    raw_index = Index(chosen.memory, chosen.disk, table).pack()
    index, small_state = (
        compress(raw_index, 19 if len(raw_index) < 1 << 22 else 9),
        compress(state, 12, base.state),
    )
    manifest = Manifest(
        name=name,
        base=base.id,
        machine=base.machine,
        disk_pages=base.disk_pages,
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
