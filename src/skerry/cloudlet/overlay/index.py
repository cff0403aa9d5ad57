"""The index of an overlay: which page comes from where, and how the literal pages are cut into segments.

A literal is a page whose content the overlay carries; each content is carried once. A page that has changed
against the base names one source: zeros, a page of the base's disk or memory, or a literal of this overlay or
of one it is built on. That one list is deduplication against all of them, memory and disk alike.

The bytes are columns, for compression: numbers as differences from the one before, with their first bytes
together, then their second bytes, and so on. docs/cloudlet/format.md describes them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from skerry.cloudlet.overlay.pages import Numbers

ZERO, BASE_DISK, BASE_MEMORY, LITERAL, PARENT = range(5)  # PARENT + n: a literal of the overlay's n-th parent
MOST_PARENTS = 8
SEGMENT_PAGES = 8192  # at most in one segment: 32 MiB
MOST_DICTIONARY = 24576  # pages: with a segment, 128 MiB
# How a segment is packed. SHUFFLED: all first bytes of four, all second ones, ...; LZMA: by that instead of zstd, alone.
PLAIN, SHUFFLED, LZMA = 0, 1, 2  # the latter two together, too
_HEAD = struct.Struct("<III")

Kinds = NDArray[np.uint8]


@dataclass(frozen=True)
class PageMap:
    """Pages in ascending order, the kind of source of each, and the number within that source."""

    pages: Numbers
    kinds: Kinds
    refs: Numbers

    def __len__(self) -> int:
        return len(self.pages)

    def of_kind(self, kind: int) -> tuple[Numbers, Numbers]:
        """Pages with that kind of source, and their numbers there."""
        chosen = self.kinds == kind
        return self.pages[chosen], self.refs[chosen]


@dataclass(frozen=True)
class Segments:
    """Bytes of each segment as stored, pages in it, and its SHA-256 (shape (n, 32)).

    A segment's dictionary is ``lengths`` literals from the literal ``dictionary`` on, all of them before its own.
    ``kinds`` is how each is packed. These three are zeros where they are not given.
    """

    sizes: Numbers
    pages: Numbers
    hashes: NDArray[np.uint8]
    dictionary: Numbers = field(default_factory=lambda: np.empty(0, np.uint32))
    lengths: Numbers = field(default_factory=lambda: np.empty(0, np.uint32))
    kinds: Kinds = field(default_factory=lambda: np.empty(0, np.uint8))

    def __post_init__(self) -> None:
        for name in ("dictionary", "lengths", "kinds"):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(len(self.sizes), getattr(self, name).dtype))

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def literals(self) -> int:
        return int(self.pages.sum(dtype=np.int64))

    def offsets(self) -> NDArray[np.int64]:
        """Where each segment begins, from the first one's start; one number more than there are segments."""
        return np.concatenate([[0], np.cumsum(self.sizes, dtype=np.int64)])

    def first_pages(self) -> NDArray[np.int64]:
        """The first literal in each segment, and the number of all."""
        return np.concatenate([[0], np.cumsum(self.pages, dtype=np.int64)])


@dataclass(frozen=True)
class Index:
    memory: PageMap
    disk: PageMap
    segments: Segments

    def pack(self) -> bytes:
        parts = [_HEAD.pack(len(self.segments), len(self.memory), len(self.disk))]
        parts += [_column(self.segments.sizes), _column(self.segments.pages), self.segments.hashes.tobytes()]
        for where in (self.memory, self.disk):
            parts += [_column(where.pages), where.kinds.tobytes(), _column(where.refs)]
        if self.segments.lengths.any() or self.segments.kinds.any():
            parts += [_column(self.segments.dictionary), _column(self.segments.lengths)]
            parts += [self.segments.kinds.tobytes()]
        return b"".join(parts)


@dataclass(frozen=True)
class Limits:
    """What references may point at: pages of the base's disk and memory, of the VM's, literals of parents."""

    base_disk: int
    base_memory: int
    disk: int
    memory: int
    parents: tuple[int, ...] = ()


def unpack(data: bytes, limits: Limits) -> Index:
    """Read an index from untrusted bytes. Raises ValueError with the reason when anything is out of bounds."""
    if len(data) < _HEAD.size:
        raise ValueError("the index is cut off")
    segments, memory, disk = _HEAD.unpack_from(data)
    if memory > limits.memory or disk > limits.disk:
        raise ValueError("the index lists more pages than the VM has")
    plain = _HEAD.size + segments * 40 + (memory + disk) * 9
    if len(data) not in (plain, plain + segments * 9):
        raise ValueError("the index has another length than its head states")
    rest = memoryview(data)[_HEAD.size :]
    sizes, rest = _read_column(rest, segments)
    pages, rest = _read_column(rest, segments)
    hashes = np.frombuffer(rest[: segments * 32], np.uint8).reshape(-1, 32)
    rest = rest[segments * 32 :]
    parts = Segments(sizes, pages, hashes)
    if len(data) != plain:
        dictionary, extra = _read_column(memoryview(data)[plain:], segments)
        lengths, extra = _read_column(extra, segments)
        parts = Segments(sizes, pages, hashes, dictionary, lengths, np.frombuffer(extra, np.uint8))
        _check_dictionaries(parts)
    if segments and (int(pages.min()) < 1 or int(pages.max()) > SEGMENT_PAGES):
        raise ValueError(f"a segment has no pages or more than {SEGMENT_PAGES}")
    # What cannot be compressed grows by little; anything larger is not a compressed segment.
    if segments and bool((sizes.astype(np.int64) > pages.astype(np.int64) * 4160 + 64).any()):
        raise ValueError("a segment is larger than its pages")
    maps = []
    for what, count, pages_there in (("memory", memory, limits.memory), ("disk", disk, limits.disk)):
        numbers, rest = _read_column(rest, count)
        kinds = np.frombuffer(rest[:count], np.uint8)
        refs, rest = _read_column(rest[count:], count)
        read = PageMap(numbers, kinds, refs)
        _check(what, read, pages_there, parts.literals, limits)
        maps.append(read)
    return Index(maps[0], maps[1], parts)


def _check_dictionaries(parts: Segments) -> None:
    ends = parts.dictionary.astype(np.int64) + parts.lengths
    if bool((ends > parts.first_pages()[:-1]).any()):
        raise ValueError("a segment's dictionary is not before it")
    if int(parts.lengths.max()) > MOST_DICTIONARY:
        raise ValueError(f"a segment's dictionary has more than {MOST_DICTIONARY} pages")
    if int(parts.kinds.max()) > SHUFFLED | LZMA:
        raise ValueError("a segment is of an unknown kind")
    if bool(parts.lengths[parts.kinds & LZMA > 0].any()):
        raise ValueError("a segment of LZMA has a dictionary")


def _check(what: str, read: PageMap, pages: int, literals: int, limits: Limits) -> None:
    if not len(read):
        return
    numbers = read.pages.astype(np.int64)
    if int(numbers[-1]) >= pages or bool((np.diff(numbers) <= 0).any()):
        raise ValueError(f"a {what} page is outside of the VM, or the pages are not in order")
    sizes = [1, limits.base_disk, limits.base_memory, literals, *limits.parents]
    if int(read.kinds.max()) >= len(sizes):
        raise ValueError(f"a {what} page has a source of an unknown kind")
    if bool((read.refs >= np.array(sizes, np.int64)[read.kinds]).any()):
        raise ValueError(f"a {what} page refers to a page beyond the end of its source")


def _column(numbers: Numbers) -> bytes:
    steps = np.diff(numbers.astype("<u4"), prepend=np.zeros(1, "<u4")).astype("<u4")
    return np.ascontiguousarray(steps.view(np.uint8).reshape(-1, 4).T).tobytes()


def _read_column(data: memoryview, count: int) -> tuple[Numbers, memoryview]:
    planes = np.frombuffer(data[: count * 4], np.uint8).reshape(4, count)
    steps = np.ascontiguousarray(planes.T).view("<u4").reshape(-1)
    return np.cumsum(steps, dtype=np.uint32), data[count * 4 :]
