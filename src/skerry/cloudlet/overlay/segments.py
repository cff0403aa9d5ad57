"""Segments: literal pages compressed in pieces, each of which is fetched and checked on its own.

Pieces that something may wait for are small and independent: those of the working set unpack fastest, by zstd, the others
are smaller, by LZMA. The rest are large, and are compressed with literals before them as a dictionary: what they hold has
often been seen before, far away.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import zstandard

from skerry.cloudlet.overlay.index import LZMA, MOST_DICTIONARY, PLAIN, SEGMENT_PAGES, SHUFFLED, Segments
from skerry.cloudlet.overlay.pages import PAGE, Pages

WARM_PAGES = 128  # in a segment of the working set: small, since something waits for it
COLD_PAGES = 256  # in one of what may be touched next
NEAR_PAGES = 512  # in one of the files that the working set is a part of
FAR = 8  # a dictionary that is so many times larger than its segment takes more than it gives
LEVEL = 9
THOROUGH = 16  # for small segments that compress neither well nor badly: slow, and a twentieth smaller
_WORTHWHILE, _HOPELESS = 0.25, 0.7  # compressed bytes by bytes: between them, more work makes a difference
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
    """A segment's literals, from ``first`` to before ``end``, and those of its dictionary.

    With ``small``, size comes before the time to unpack it.
    """

    first: int
    end: int
    dictionary: tuple[int, int] = (0, 0)
    small: bool = False


def cut(areas: Areas) -> list[Cut]:
    """Where to cut literals into segments.

    The working set, what is close to it, what only memory has, and the files that the working set is a part of are
    alone. Other files have these files, and the other files before, as their dictionary; what only the disk has, like a
    database's log, has what only memory has. Where no working set was recorded, anything may be touched next, and all
    segments are independent.
    """
    if not areas.warm:
        return _steps(0, areas.total, COLD_PAGES)
    cuts = _steps(0, areas.warm, WARM_PAGES) + _steps(areas.warm, areas.close, COLD_PAGES)
    cuts += _steps(areas.close, areas.memory, COLD_PAGES, small=True)
    cuts += _steps(areas.memory, areas.near, NEAR_PAGES, small=True)
    files = _steps(areas.near, areas.files, SEGMENT_PAGES)
    cuts += [_with(each, areas.memory, each.first) for each in files]
    others = _steps(areas.files, areas.total, SEGMENT_PAGES)
    return cuts + [_with(each, areas.warm, areas.memory) for each in others]


def _steps(first: int, end: int, step: int, small: bool = False) -> list[Cut]:
    return [Cut(at, min(at + step, end), small=small) for at in range(first, end, step)]


def _with(piece: Cut, first: int, end: int) -> Cut:
    """The piece with the last literals from ``first`` to before ``end`` as its dictionary, or alone if that is better."""
    first = max(first, end - MOST_DICTIONARY)
    if end - first > FAR * (piece.end - piece.first):
        return Cut(piece.first, piece.end, small=True)
    return Cut(piece.first, piece.end, (first, end))


def compress(data: bytes | memoryview, level: int = LEVEL, dictionary: bytes | memoryview = b"") -> bytes:
    """Compress with zstd, with a window over all of it and over the dictionary."""
    more: dict[str, int] = {"window_log": 24}
    if dictionary:
        # Long matches, far away: short ones would fill the table of what was seen where.
        more = {"window_log": 27, "hash_log": 24, "min_match": 5}
    elif level >= LEVEL:
        more["min_match"] = 4  # memory is full of small numbers and addresses
    if level == THOROUGH:
        more |= {"min_match": 3, "search_log": 5, "target_length": 48}
    parameters = zstandard.ZstdCompressionParameters.from_level(level, write_content_size=True, **more)
    packer = zstandard.ZstdCompressor(compression_params=parameters, dict_data=_dictionary(dictionary))
    return packer.compress(data)


def decompress(data: bytes | memoryview, size: int, dictionary: bytes | memoryview = b"") -> bytes:
    """Decompress exactly ``size`` bytes. Raises ValueError: it never makes more, whatever the data claims."""
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


def compress_lzma(data: bytes | memoryview, thorough: bool) -> bytes:
    """Compress machine code and data of programs with LZMA, after a filter for the former: small, and slow to unpack."""
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=_filters(len(data), thorough))


def decompress_lzma(data: bytes | memoryview, size: int) -> bytes:
    """Decompress exactly ``size`` bytes. Raises ValueError: it never makes more, and takes memory for no more."""
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(size))
    try:
        out = unpacker.decompress(data, max_length=size + 1)
    except lzma.LZMAError as error:
        raise ValueError(f"compressed data is damaged ({error})") from None
    if len(out) != size or not unpacker.eof or unpacker.unused_data:
        raise ValueError(f"compressed data is not that of {size} bytes")
    return out


def _filters(size: int, thorough: bool = False) -> list[dict[str, int]]:
    """LZMA's settings; only those of the encoder differ."""
    how = {"mode": lzma.MODE_FAST, "nice_len": 48, "depth": 16}
    if thorough:
        how = {"mode": lzma.MODE_NORMAL, "nice_len": 32, "depth": 8}
    packer = {"id": lzma.FILTER_LZMA2, "dict_size": size, "mf": lzma.MF_HC4, **how}
    return [{"id": lzma.FILTER_X86}, packer]


def _bytes(pages: Pages) -> memoryview:
    return np.ascontiguousarray(pages).data.cast("B")


def shuffled(pages: Pages) -> memoryview:
    """Arrays of numbers compress better so: all first bytes of four, which are like each other, and so on."""
    return _bytes(pages.reshape(-1, _GRAIN).T)


def pack(literals: Pages, cuts: Sequence[Cut], level: int = LEVEL) -> tuple[list[bytes], Segments]:
    """Compress literals piece by piece, on all processors."""

    def one(piece: Cut) -> tuple[bytes, int]:
        pages, (first, end) = literals[piece.first : piece.end], piece.dictionary
        data = _bytes(pages)
        blob = compress(data, level, _bytes(literals[first:end]) if end > first else b"")
        if end > first or level < LEVEL:
            return blob, PLAIN
        share, kind = len(blob) / len(data), PLAIN
        if share > 0.5:
            apart = shuffled(pages)
            other = compress(apart, level)
            if len(other) < len(blob):
                data, blob, kind = apart, other, SHUFFLED
        tries = [(blob, kind)]
        if piece.small and (kind or share < _HOPELESS):
            tries.append((compress_lzma(data, thorough=share > _WORTHWHILE), kind | LZMA))
        elif _WORTHWHILE < share < _HOPELESS:
            tries.append((compress(data, THOROUGH), kind))
        return min(tries, key=lambda each: len(each[0]))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        # The largest first: nobody waits for the last one alone.
        started = {
            piece: pool.submit(one, piece) for piece in sorted(cuts, key=lambda each: each.first - each.end)
        }
        packed = [started[piece].result() for piece in cuts]
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
        raise ValueError(f"segment {number} has another hash than the signed index states")
    count = int(segments.pages[number])
    if segments.kinds[number] & LZMA:
        data = decompress_lzma(blob, count * PAGE)
    else:
        data = decompress(blob, count * PAGE, b"" if dictionary is None else _bytes(dictionary))
    pages = np.frombuffer(data, np.uint8)
    if segments.kinds[number] & SHUFFLED:
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
        """Raises ValueError for a segment that does not match the index."""
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
