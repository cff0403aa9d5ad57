"""Segments: literal pages compressed so that each piece can be fetched, checked and unpacked on its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import zstandard

from skerry.cloudlet.index import Segments
from skerry.cloudlet.pages import PAGE, Pages

WARM_PAGES = 128  # in a segment of the working set: small, since something waits for it
COLD_PAGES = 256  # in one of the rest: larger ones are smaller in sum, but who misses a page waits for all of its segment
LEVEL = 9
WINDOW_LOG = 24  # 16 MiB: a whole segment


def compress(data: bytes | memoryview, level: int = LEVEL) -> bytes:
    """Compress with zstd, with a window over all of a segment."""
    longest = {"enable_ldm": True} if len(data) > 1 << 20 else {}
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=WINDOW_LOG, write_content_size=True, **longest
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def decompress(data: bytes | memoryview, size: int) -> bytes:
    """Decompress exactly ``size`` bytes. Raises ValueError: it never makes more, whatever the data says."""
    try:
        head = zstandard.get_frame_parameters(data)
        if head.content_size != size:
            raise ValueError(f"compressed data claims to be {head.content_size} bytes instead of {size}")
        if head.window_size > 1 << 27:
            raise ValueError("compressed data wants a window of more than 128 MiB")
        out = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(f"compressed data is damaged ({error})") from None
    if len(out) != size:
        raise ValueError(f"compressed data gave {len(out)} bytes instead of {size}")
    return out


def cut(warm: int, total: int) -> list[tuple[int, int]]:
    """Where to cut ``total`` literals whose first ``warm`` are the working set: (first, end) of each segment."""
    parts = ((0, warm, WARM_PAGES), (warm, total, COLD_PAGES))
    return [(at, min(at + step, end)) for first, end, step in parts for at in range(first, end, step)]


def pack(
    literals: Pages, cuts: Sequence[tuple[int, int]], level: int = LEVEL
) -> tuple[list[bytes], Segments]:
    """Compress literals piece by piece, on all processors."""

    def one(piece: tuple[int, int]) -> bytes:
        return compress(np.ascontiguousarray(literals[piece[0] : piece[1]]).data.cast("B"), level)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        blobs = list(pool.map(one, cuts))
    hashes = b"".join(hashlib.sha256(blob).digest() for blob in blobs)
    table = Segments(
        np.array([len(blob) for blob in blobs], np.uint32),
        np.array([end - first for first, end in cuts], np.uint32),
        np.frombuffer(hashes, np.uint8).reshape(-1, 32),
    )
    return blobs, table


def unpack(blob: bytes | memoryview, segments: Segments, number: int) -> Pages:
    """The pages of one segment, checked. Raises ValueError."""
    if hashlib.sha256(blob).digest() != segments.hashes[number].tobytes():
        raise ValueError(f"segment {number} has another hash than the signed index says")
    count = int(segments.pages[number])
    return np.frombuffer(decompress(blob, count * PAGE), np.uint8).reshape(count, PAGE)
