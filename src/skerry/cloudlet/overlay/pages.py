"""Pages: 4 KiB of memory or disk, in bulk, as numpy arrays of shape (count, 4096) and type uint8."""

from __future__ import annotations

import hashlib
import mmap
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PAGE = 4096

Pages = NDArray[np.uint8]
Numbers = NDArray[np.uint32]
Digests = NDArray[np.bytes_]  # SHA-256, type S32: comparisons pad with zero bytes, which changes nothing here

LISTED = np.dtype([("page", "<u4"), ("digest", "S32")])
_BLOCK = 64  # pages that are looked at together: they and what is computed of them fit into a cache


def as_pages(buffer: bytes | bytearray | memoryview | mmap.mmap) -> Pages:
    """A view of ``buffer``, whose length must be a multiple of 4096."""
    return np.frombuffer(buffer, dtype=np.uint8).reshape(-1, PAGE)


def open_pages(path: Path) -> Pages:
    """The pages of a file, mapped read-only. Empty files give an array of no pages."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return np.empty((0, PAGE), np.uint8)
        return as_pages(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))


def nonzero(pages: Pages) -> NDArray[np.bool_]:
    """Which pages hold anything but zeros."""
    words = pages.view(np.uint64)
    found = np.empty(len(words), np.bool_)
    for at in range(0, len(words), _BLOCK):
        found[at : at + _BLOCK] = np.bitwise_or.reduce(words[at : at + _BLOCK], axis=1) != 0
    return found


def differing(one: Pages, other: Pages) -> NDArray[np.bool_]:
    """Which pages of two arrays of one shape differ."""
    left, right = one.view(np.uint64), other.view(np.uint64)
    found = np.empty(len(left), np.bool_)
    for at in range(0, len(left), _BLOCK):
        both = left[at : at + _BLOCK] ^ right[at : at + _BLOCK]
        found[at : at + _BLOCK] = np.bitwise_or.reduce(both, axis=1) != 0
    return found


def digests(pages: Pages) -> Digests:
    """The SHA-256 of each page."""
    sha = hashlib.sha256
    joined = b"".join([sha(page).digest() for page in pages])
    return np.frombuffer(joined, dtype="S32")


def data_pages(path: Path) -> NDArray[np.bool_]:
    """Which pages of a file may hold anything: those outside of its holes."""
    size = path.stat().st_size
    found = np.zeros(size // PAGE, np.bool_)
    with path.open("rb") as file:
        at = 0
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole follows
                break
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            found[at // PAGE : -(-end // PAGE)] = True
            at = end
    return found


def listing(path: Path) -> NDArray[np.void]:
    """Number and SHA-256 of each page of a file that is not zero, in order: an array of type LISTED."""
    pages = open_pages(path)
    numbers = np.flatnonzero(data_pages(path)).astype(np.uint32)
    # In pieces: a disk need not fit into memory.
    parts = [np.empty(0, LISTED)]
    for at in range(0, len(numbers), 16384):
        piece = numbers[at : at + 16384]
        content = pages[piece]
        kept = nonzero(content)
        part = np.empty(int(kept.sum()), LISTED)
        part["page"], part["digest"] = piece[kept], digests(content[kept])
        parts.append(part)
    return np.concatenate(parts)


class Finder:
    """Finds pages by their content among those of a listing."""

    def __init__(self, numbers: Numbers, content: Digests) -> None:
        order = np.argsort(content, kind="stable")
        self._digests, self._numbers = content[order], numbers[order]

    def find(self, wanted: Digests) -> tuple[NDArray[np.bool_], Numbers]:
        """Which of the digests are there, and the page number of each (0 where it is not)."""
        if not len(self._digests) or not len(wanted):
            return np.zeros(len(wanted), np.bool_), np.zeros(len(wanted), np.uint32)
        at = np.minimum(np.searchsorted(self._digests, wanted), len(self._digests) - 1)
        hit = self._digests[at] == wanted
        return hit, np.where(hit, self._numbers[at], 0).astype(np.uint32)


def write_sparse(path: Path, pages: Pages) -> None:
    """Write pages to a new file with holes in place of zeros, and flush it to the disk."""
    with path.open("xb") as file:
        file.truncate(len(pages) * PAGE)
        held = np.flatnonzero(nonzero(pages))
        # Runs of neighbours are written at once.
        for run in np.split(held, np.flatnonzero(np.diff(held) != 1) + 1) if len(held) else ():
            file.seek(int(run[0]) * PAGE)
            file.write(pages[run[0] : run[-1] + 1].data)
        file.flush()
        os.fsync(file.fileno())
