"""Reading an overlay, from a file or over HTTP, without believing a word of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from skerry.cloudlet.errors import BadOverlayError, UntrustedError
from skerry.cloudlet.overlay import index as indexes
from skerry.cloudlet.overlay import manifest as manifests
from skerry.cloudlet.overlay.index import Index, Limits
from skerry.cloudlet.overlay.keys import SIGNATURE, Keys, fingerprint, valid
from skerry.cloudlet.overlay.manifest import HEAD, MAGIC, MOST_MANIFEST, Manifest
from skerry.cloudlet.overlay.pages import Pages
from skerry.cloudlet.overlay.segments import Unpacker, decompress


class Source(Protocol):
    """Something with bytes at offsets."""

    name: str

    def read(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes, or fewer where the source ends."""
        ...

    def size(self) -> int:
        """All bytes of it."""
        ...


class FileSource:
    """An overlay in a file."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._file = path.open("rb", buffering=0)

    def read(self, offset: int, size: int) -> bytes:
        parts = []
        while size:
            part = os.pread(self._file.fileno(), size, offset)
            if not part:
                break
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    def size(self) -> int:
        return self._path.stat().st_size

    def close(self) -> None:
        self._file.close()


class Overlay:
    """An overlay whose manifest is checked and whose signer is trusted; its parts are checked as they are read.

    Raises BadOverlayError (with the reason) and UntrustedError.
    """

    def __init__(self, source: Source, keys: Keys | None) -> None:
        """``keys`` are those whose signatures are trusted; None trusts any valid one (to look at it only)."""
        self.source = source
        start = source.read(0, HEAD.size + MOST_MANIFEST // 4)
        if len(start) < HEAD.size or not start.startswith(MAGIC):
            raise BadOverlayError(source.name, "it does not begin as an overlay does")
        _, length = HEAD.unpack_from(start)
        if not 2 <= length <= MOST_MANIFEST:
            raise BadOverlayError(source.name, f"its manifest is said to have {length} bytes")
        whole = HEAD.size + length + SIGNATURE
        if len(start) < whole:
            start += source.read(len(start), whole - len(start))
        if len(start) < whole:
            raise BadOverlayError(source.name, "it is cut off within its head")
        packed = start[HEAD.size : HEAD.size + length]
        try:
            self.manifest: Manifest = manifests.unpack(packed)
        except ValueError as reason:
            raise BadOverlayError(source.name, reason) from None
        public = manifests.signer(self.manifest)
        if not valid(public, start[HEAD.size + length : whole], manifests.message(packed)):
            raise BadOverlayError(source.name, "its signature does not belong to its manifest")
        if keys is not None and public not in keys.trusted():
            raise UntrustedError(source.name, fingerprint(public))
        self.head = start[:whole]
        self._ahead = start[whole:]  # read along with the head: what follows it
        self.index_offset = whole
        self.state_offset = whole + self.manifest.index.size
        self.data_offset = self.state_offset + self.manifest.state.size
        if source.size() != self.manifest.size:
            raise BadOverlayError(
                source.name, f"it has {source.size()} bytes, its manifest states {self.manifest.size}"
            )

    def index(self, limits: Limits) -> Index:
        """The index, checked against ``limits``."""
        raw = self._part("index", self.index_offset, self.manifest.index)
        try:
            index = indexes.unpack(raw, limits)
            if int(index.segments.sizes.sum(dtype=np.int64)) != self.manifest.segments:
                raise ValueError("its segments have another length than its manifest states")
            if index.segments.literals > len(index.memory) + len(index.disk):
                raise ValueError("it carries more pages than it changes")
        except ValueError as reason:
            raise BadOverlayError(self.source.name, reason) from None
        return index

    def state(self, base: bytes) -> bytes:
        """The device state without pages; ``base`` is that of the overlay's base."""
        known = base if self.manifest.format > 1 else b""
        return self._part("state", self.state_offset, self.manifest.state, known)

    def unpack(self, unpacker: Unpacker, number: int, blob: bytes | memoryview) -> Pages:
        """The pages of one segment, whose bytes were fetched."""
        try:
            return unpacker.unpack(number, blob)
        except ValueError as reason:
            raise BadOverlayError(self.source.name, reason) from None

    def segments(self, index: Index) -> Iterator[tuple[int, Pages]]:
        """All segments with their pages, in order."""
        unpacker, at = Unpacker(index.segments), self.data_offset
        for number, size in enumerate(index.segments.sizes.tolist()):
            yield number, self.unpack(unpacker, number, self.source.read(at, size))
            at += size

    def literals(self, index: Index) -> Pages:
        """All literals: memory for all of them is taken."""
        parts = [pages for _, pages in self.segments(index)]
        return np.concatenate(parts) if parts else np.empty((0, 4096), np.uint8)

    def _part(self, what: str, offset: int, blob: manifests.Blob, dictionary: bytes = b"") -> bytes:
        ahead = offset - self.index_offset
        data = self._ahead[ahead : ahead + blob.size]
        if len(data) < blob.size:
            data += self.source.read(offset + len(data), blob.size - len(data))
        if hashlib.sha256(data).hexdigest() != blob.sha256:
            raise BadOverlayError(self.source.name, f"its {what} has another hash than its manifest states")
        try:
            return decompress(data, blob.raw, dictionary)
        except ValueError as reason:
            raise BadOverlayError(self.source.name, f"its {what}: {reason}") from None
