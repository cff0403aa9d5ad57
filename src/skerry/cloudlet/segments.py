"""Segments: literal pages compressed in pieces, each of which is fetched and checked on its own.

Pieces that something may wait for are small and stand alone. The others are large, and are compressed with literals
before them as a dictionary: what they hold has often been seen before, far away.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import zstandard

from skerry.cloudlet.index import MOST_DICTIONARY, PLAIN, SEGMENT_PAGES, SHUFFLED, Segments
from skerry.cloudlet.pages import PAGE, Pages

WARM_PAGES = 128  # in a segment of the working set: small, since something waits for it
COLD_PAGES = 256  # in one of what may be touched next
NEAR_PAGES = 1024  # in one of the files that the working set is a part of
NEAR_DICTIONARY = 8192  # pages, of those that come first anyway
LEVEL = 9
THOROUGH = 16  # for small segments that compress neither well nor badly: slow, and a twentieth smaller
_WORTHWHILE = 0.3  # compressed bytes by bytes
_GRAIN = 4  # bytes of a number: what SHUFFLED goes by


@dataclass(frozen=True)
class Areas:
    """Where each class of literals ends, in their order; ``total`` is the end of those that only the disk has."""

    warm: int  # the recorded working set
    close: int  # pages beside it
    memory: int  # what only memory has
    near: int  # files that the working set is a part of
    files: int  # other files
    total: int


@dataclass(frozen=True)
class Cut:
    """A segment's literals, from ``first`` to before ``end``, and those of its dictionary."""

    first: int
    end: int
    dictionary: tuple[int, int] = (0, 0)


def cut(areas: Areas) -> list[Cut]:
    """Where to cut literals into segments.

    Files that the working set is a part of have what comes first anyway as their dictionary; other files have these,
    and the other files before; what only the disk has, like a database's log, has what only memory has. Where no
    working set was recorded, anything may be touched next, and all segments stand alone.
    """
    if not areas.warm:
        return _steps(0, areas.total, COLD_PAGES)
    cuts = _steps(0, areas.warm, WARM_PAGES)
    cuts += _steps(areas.warm, areas.close, COLD_PAGES) + _steps(areas.close, areas.memory, COLD_PAGES)
    first = (max(0, areas.close - NEAR_DICTIONARY), areas.close)
    cuts += [Cut(each.first, each.end, first) for each in _steps(areas.memory, areas.near, NEAR_PAGES)]
    for each in _steps(areas.near, areas.files, SEGMENT_PAGES):
        cuts.append(Cut(each.first, each.end, _before(areas.memory, each.first)))
    for each in _steps(areas.files, areas.total, SEGMENT_PAGES):
        cuts.append(Cut(each.first, each.end, _before(areas.warm, areas.memory)))
    return cuts


def _steps(first: int, end: int, step: int) -> list[Cut]:
    return [Cut(at, min(at + step, end)) for at in range(first, end, step)]


def _before(first: int, end: int) -> tuple[int, int]:
    return max(first, end - MOST_DICTIONARY), end


def compress(data: bytes | memoryview, level: int = LEVEL, dictionary: bytes | memoryview = b"") -> bytes:
    """Compress with zstd, with a window over all of it and over the dictionary."""
    more: dict[str, int] = {"window_log": 24}
    if dictionary:
        # Long matches, far away: short ones would fill the table of what was seen where.
        more = {"window_log": 27, "hash_log": 24, "min_match": 5}
    elif level >= LEVEL:
        more["min_match"] = 4  # memory is full of small numbers and addresses
    if level == THOROUGH:
        more |= {"search_log": 3, "target_length": 24}
    parameters = zstandard.ZstdCompressionParameters.from_level(level, write_content_size=True, **more)
    packer = zstandard.ZstdCompressor(compression_params=parameters, dict_data=_dictionary(dictionary))
    return packer.compress(data)


def decompress(data: bytes | memoryview, size: int, dictionary: bytes | memoryview = b"") -> bytes:
    """Decompress exactly ``size`` bytes. Raises ValueError: it never makes more, whatever the data says."""
    try:
        head = zstandard.get_frame_parameters(data)
        if head.content_size != size:
            raise ValueError(f"compressed data claims to be {head.content_size} bytes instead of {size}")
        if head.window_size > 1 << 27:
            raise ValueError("compressed data wants a window of more than 128 MiB")
        unpacker = zstandard.ZstdDecompressor(dict_data=_dictionary(dictionary), max_window_size=1 << 27)
        out = unpacker.decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(f"compressed data is damaged ({error})") from None
    if len(out) != size:
        raise ValueError(f"compressed data gave {len(out)} bytes instead of {size}")
    return out


def _dictionary(content: bytes | memoryview) -> zstandard.ZstdCompressionDict | None:
    if not len(content):
        return None
    return zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def _bytes(pages: Pages) -> memoryview:
    return np.ascontiguousarray(pages).data.cast("B")


def shuffled(pages: Pages) -> memoryview:
    """Arrays of numbers compress better so: all first bytes of four, which are like each other, and so on."""
    return _bytes(pages.reshape(-1, _GRAIN).T)


def pack(literals: Pages, cuts: Sequence[Cut], level: int = LEVEL) -> tuple[list[bytes], Segments]:
    """Compress literals piece by piece, on all processors."""

    def one(piece: Cut) -> tuple[bytes, int]:
        pages, (first, end) = literals[piece.first : piece.end], piece.dictionary
        blob = compress(_bytes(pages), level, _bytes(literals[first:end]) if end > first else b"")
        share = len(blob) / pages.nbytes
        if end > first or level < LEVEL or share < _WORTHWHILE:
            return blob, PLAIN
        tries = [(blob, PLAIN)]
        if share > 0.5:
            tries.append((compress(shuffled(pages), level), SHUFFLED))
        if share < 0.7:
            tries.append((compress(_bytes(pages), THOROUGH), PLAIN))
        return min(tries, key=lambda each: len(each[0]))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        packed = list(pool.map(one, cuts))
    hashes = b"".join(hashlib.sha256(blob).digest() for blob, _ in packed)
    table = Segments(
        np.array([len(blob) for blob, _ in packed], np.uint32),
        np.array([piece.end - piece.first for piece in cuts], np.uint32),
        np.frombuffer(hashes, np.uint8).reshape(-1, 32),
        np.array([piece.dictionary[0] for piece in cuts], np.uint32),
        np.array([piece.dictionary[1] - piece.dictionary[0] for piece in cuts], np.uint32),
        np.array([kind for _, kind in packed], np.uint8),
    )
    return [blob for blob, _ in packed], table


def unpack(
    blob: bytes | memoryview, segments: Segments, number: int, dictionary: Pages | None = None
) -> Pages:
    """The pages of one segment, checked; ``dictionary`` has the literals that it names. Raises ValueError."""
    if hashlib.sha256(blob).digest() != segments.hashes[number].tobytes():
        raise ValueError(f"segment {number} has another hash than the signed index says")
    count = int(segments.pages[number])
    data = decompress(blob, count * PAGE, b"" if dictionary is None else _bytes(dictionary))
    pages = np.frombuffer(data, np.uint8)
    if segments.kinds[number] == SHUFFLED:
        pages = np.ascontiguousarray(pages.reshape(_GRAIN, -1).T)
    return pages.reshape(count, PAGE)


class Unpacker:
    """Unpacks segments in any order that their dictionaries allow, and keeps the pages that later ones need.

    Thread-safe. A segment is unpacked once.
    """

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._first = segments.first_pages()
        ends = segments.dictionary.astype(np.int64) + segments.lengths
        low = np.searchsorted(self._first, segments.dictionary, side="right") - 1
        high = np.searchsorted(self._first, ends, side="left")
        self._needs = [
            range(one, other) if length else range(0)
            for one, other, length in zip(low.tolist(), high.tolist(), segments.lengths.tolist(), strict=True)
        ]
        self._users = [0] * len(segments)
        for needs in self._needs:
            for number in needs:
                self._users[number] += 1
        self._there = [False] * len(segments)
        self._kept: dict[int, Pages] = {}
        self._lock = threading.Lock()

    def missing(self, number: int) -> list[int]:
        """The segments that must be unpacked before this one can be, in order."""
        found: set[int] = set()
        asked = [number]
        while asked:
            for needed in self._needs[asked.pop()]:
                if not self._there[needed] and needed not in found:
                    found.add(needed)
                    asked.append(needed)
        return sorted(found)

    def there(self, number: int) -> bool:
        return self._there[number]

    @property
    def kept(self) -> int:
        """How many segments are kept for later ones."""
        return len(self._kept)

    def unpack(self, number: int, blob: bytes | memoryview) -> Pages:
        """Raises ValueError for a segment that is not what the index says."""
        pages = unpack(blob, self._segments, number, self._dictionary(number))
        with self._lock:
            if self._users[number]:
                self._kept[number] = pages
            self._there[number] = True
            for needed in self._needs[number]:
                self._users[needed] -= 1
                if not self._users[needed]:
                    del self._kept[needed]
        return pages

    def _dictionary(self, number: int) -> Pages | None:
        needs = self._needs[number]
        if not needs:
            return None
        with self._lock:
            parts = np.concatenate([self._kept[needed] for needed in needs])
        first = int(self._segments.dictionary[number]) - int(self._first[needs.start])
        return parts[first : first + int(self._segments.lengths[number])]
