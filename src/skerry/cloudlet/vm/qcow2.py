"""A writer of qcow2 files with clusters of 4 KiB, so that changed pages land in a file without what is between.

After the published description of the format (docs/interop/qcow2.txt in QEMU), version 3. The file can be opened
by a QEMU that waits for a migration while pages are still being written: it reads the tables again when the
migration ends, and by then ``finish`` must have been called.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from skerry.cloudlet.overlay.pages import PAGE, Numbers, Pages, nonzero

_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_BITS = 12
_ENTRIES = PAGE // 8  # of a table in one cluster
_COUNTS = PAGE // 2  # of a cluster of reference counts, 16 bits each
_COPIED, _ZERO = 1 << 63, 1


class Writer:
    """Writes changed pages of a disk of ``pages`` pages to a new file whose backing file is named elsewhere."""

    def __init__(self, path: Path, pages: int) -> None:
        self._tables = -(-pages // _ENTRIES)
        self._l1_clusters = -(-self._tables // _ENTRIES)
        # Room for the counts of all that this file can come to hold.
        most = 3 + 2 * (pages + self._tables + self._l1_clusters)
        blocks = -(-most // _COUNTS)
        self._count_clusters = -(-blocks // _ENTRIES)
        self._entries = np.zeros(self._tables * _ENTRIES, np.uint64)
        self._next = 1 + self._l1_clusters + self._count_clusters
        self._file = path.open("xb", buffering=0)
        header = _HEADER.pack(
            b"QFI\xfb", 3, 0, 0, _BITS, pages * PAGE, 0, self._tables, PAGE,
            PAGE * (1 + self._l1_clusters), self._count_clusters, 0, 0, 0, 0, 0, 4, _HEADER.size,
        )  # fmt: skip
        os.pwrite(self._file.fileno(), header.ljust(self._next * PAGE, b"\0"), 0)

    def write(self, numbers: Numbers, content: Pages) -> None:
        """Write pages, ascending or not; zeros take no room. A page that was written before is written over."""
        there = self._entries[numbers] > _ZERO
        if there.any():
            self._again(numbers[there], content[there])
            numbers, content = numbers[~there], content[~there]
        held = nonzero(content)
        self._entries[numbers[~held]] = _ZERO
        count = int(held.sum())
        if count:
            places = (np.arange(self._next, self._next + count, dtype=np.uint64)) * np.uint64(PAGE)
            self._entries[numbers[held]] = places | np.uint64(_COPIED)
            os.pwrite(self._file.fileno(), content[held].tobytes(), self._next * PAGE)
            self._next += count

    def _again(self, numbers: Numbers, content: Pages) -> None:
        places = self._entries[numbers] & ~np.uint64(_COPIED)
        for place, page in zip(places.tolist(), content, strict=True):
            os.pwrite(self._file.fileno(), page.data, place)

    def finish(self) -> None:
        """Write the tables."""
        tables = self._entries.reshape(-1, _ENTRIES)
        used = np.flatnonzero(tables.any(axis=1))
        l1 = np.zeros(self._l1_clusters * _ENTRIES, np.uint64)
        l1[used] = np.arange(self._next, self._next + len(used), dtype=np.uint64) * np.uint64(
            PAGE
        ) | np.uint64(_COPIED)
        self._put(tables[used].astype(">u8").tobytes(), self._next)
        self._next += len(used)
        blocks = 0  # the counts count their own clusters, too
        while blocks * _COUNTS < self._next + blocks:
            blocks += 1
        counts = np.zeros(blocks * _COUNTS, ">u2")
        counts[: self._next + blocks] = 1
        self._put(counts.tobytes(), self._next)
        table = np.zeros(self._count_clusters * _ENTRIES, np.uint64)
        table[:blocks] = np.arange(self._next, self._next + blocks, dtype=np.uint64) * np.uint64(PAGE)
        self._put(table.astype(">u8").tobytes(), 1 + self._l1_clusters)
        self._put(l1.astype(">u8").tobytes(), 1)
        os.truncate(self._file.fileno(), (self._next + blocks) * PAGE)
        self.close()

    def _put(self, data: bytes, cluster: int) -> None:
        os.pwrite(self._file.fileno(), data, cluster * PAGE)

    def close(self) -> None:
        self._file.close()
