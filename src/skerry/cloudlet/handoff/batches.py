"""Batches: what a handoff sends of changed pages at a time. An index as overlays have it, and one segment.

References count in the same sources as an overlay's, with one more behind the overlays that both sides hold: the
literals of all batches before.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

import numpy as np

from skerry.cloudlet.overlay import index as indexes
from skerry.cloudlet.overlay import segments
from skerry.cloudlet.overlay.index import PLAIN, SEGMENT_PAGES, SHUFFLED, Index, Limits, PageMap, Segments
from skerry.cloudlet.overlay.manifest import MOST_INDEX
from skerry.cloudlet.overlay.pages import PAGE, Pages

_HEAD = struct.Struct("<III")  # the index: as it is sent, unpacked; the segment
NO_PAGES: Pages = np.empty((0, PAGE), np.uint8)


@dataclass(frozen=True)
class Batch:
    memory: PageMap
    disk: PageMap
    literals: Pages


def pack(batch: Batch, level: int) -> bytes:
    blob, table = b"", Segments(np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty((0, 32), np.uint8))
    if len(batch.literals):
        blob, kind = segments.compress(np.ascontiguousarray(batch.literals).data.cast("B"), level), PLAIN
        if len(blob) > batch.literals.nbytes / 2:
            other = segments.compress(segments.shuffled(batch.literals), level)
            blob, kind = min((blob, PLAIN), (other, SHUFFLED), key=lambda each: len(each[0]))
        digest = np.frombuffer(hashlib.sha256(blob).digest(), np.uint8).reshape(1, 32)
        sizes, pages, none = (np.array([each], np.uint32) for each in (len(blob), len(batch.literals), 0))
        table = Segments(sizes, pages, digest, none, none, np.array([kind], np.uint8))
    raw = Index(batch.memory, batch.disk, table).pack()
    small = segments.compress(raw, 9)
    return _HEAD.pack(len(small), len(raw), len(blob)) + small + blob


def unpack(body: bytes, limits: Limits) -> Batch:
    """Read a batch from untrusted bytes. Raises ValueError with the reason."""
    if len(body) < _HEAD.size:
        raise ValueError("a batch is cut off")
    small, raw, size = _HEAD.unpack_from(body)
    if len(body) != _HEAD.size + small + size:
        raise ValueError("a batch has another length than its head states")
    if raw > min(MOST_INDEX, 12 + 40 + 9 * (limits.memory + limits.disk)):
        raise ValueError("a batch lists more pages than the VM has")
    rest = memoryview(body)[_HEAD.size :]
    index = indexes.unpack(segments.decompress(rest[:small], raw), limits)
    if len(index.segments) > 1 or int(index.segments.sizes.sum()) != size:
        raise ValueError(f"a batch has another segment than one of at most {SEGMENT_PAGES} pages")
    literals = segments.unpack(rest[small:], index.segments, 0) if len(index.segments) else NO_PAGES
    return Batch(index.memory, index.disk, literals)
