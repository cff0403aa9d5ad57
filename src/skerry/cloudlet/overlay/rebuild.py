"""From an overlay and its base back to pages: where each literal belongs, and what needs no literal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from skerry.cloudlet.errors import BadOverlayError
from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.index import (
    BASE_DISK,
    BASE_MEMORY,
    LITERAL,
    PARENT,
    ZERO,
    Index,
    Limits,
    PageMap,
)
from skerry.cloudlet.overlay.pages import PAGE, Numbers, Pages
from skerry.cloudlet.overlay.reader import Overlay
from skerry.cloudlet.overlay.store import Store

_PIECE = 2048  # pages: what is handled at a time


@dataclass(frozen=True)
class Piece:
    """Some pages of the VM's memory (``disk`` false) or disk, with their content."""

    disk: bool
    numbers: Numbers
    content: Pages


class Rebuild:
    """An overlay with all that its pages are made of.

    Raises BadOverlayError (another machine or disk than the base's, a wrong reference), NotFoundError when a
    base or parent is missing.
    """

    def __init__(self, overlay: Overlay, store: Store) -> None:
        manifest = overlay.manifest
        self.overlay = overlay
        self.base: Base = store.base(manifest.base)
        if self.base.machine != manifest.machine or self.base.disk_pages != manifest.disk_pages:
            raise BadOverlayError(overlay.source.name, "it is of another machine or disk than its base")
        self._parents: Sequence[Pages] = [parent_literals(store, self.base, id) for id in manifest.parents]
        self.limits = limits(self.base, [len(pages) for pages in self._parents])
        self.index: Index = overlay.index(self.limits)
        self._maps = ((False, self.index.memory), (True, self.index.disk))
        self._places = []
        for disk, where in self._maps:
            pages, refs = where.of_kind(LITERAL)
            order = np.argsort(refs, kind="stable")
            self._places.append((disk, refs[order], pages[order]))

    def without_literals(self) -> Iterator[Piece]:
        """Changed pages that are zero, or are held by the base or a parent."""
        sources: dict[int, Pages] = {BASE_DISK: self.base.disk, BASE_MEMORY: self.base.memory}
        sources |= {PARENT + number: pages for number, pages in enumerate(self._parents)}
        for disk, where in self._maps:
            pages, _ = where.of_kind(ZERO)
            for part in _pieces(pages):
                yield Piece(disk, part, np.zeros((len(part), PAGE), np.uint8))
            for kind, source in sources.items():
                pages, refs = where.of_kind(kind)
                for part, held in zip(_pieces(pages), _pieces(refs), strict=True):
                    yield Piece(disk, part, source[held])

    def of_segment(self, number: int, literals: Pages) -> Iterator[Piece]:
        """Where the pages of one segment belong."""
        first = int(self.index.segments.first_pages()[number])
        for disk, refs, pages in self._places:
            low, high = np.searchsorted(refs, [first, first + len(literals)])
            if high > low:
                yield Piece(disk, pages[low:high], literals[refs[low:high] - np.uint32(first)])

    def pieces(self) -> Iterator[Piece]:
        """All changed pages."""
        yield from self.without_literals()
        for number, literals in self.overlay.segments(self.index):
            yield from self.of_segment(number, literals)


def limits(base: Base, parents: Sequence[int]) -> Limits:
    pages = base.machine.memory_pages
    return Limits(base.disk_pages, pages, base.disk_pages, pages, tuple(parents))


def parent_literals(store: Store, base: Base, id: str) -> Pages:
    """All literals of an overlay below."""
    parent = store.open_overlay(id)
    if parent.manifest.base != base.id:
        raise BadOverlayError(
            parent.source.name, "it is of another base than the overlay that is built on it"
        )
    # A residue carries sources of its own, but others refer to nothing but its literals.
    counts = [literal_count(store, base, above) for above in parent.manifest.parents]
    return parent.literals(parent.index(limits(base, counts)))


def literal_count(store: Store, base: Base, id: str) -> int:
    overlay = store.open_overlay(id)
    counts = [literal_count(store, base, above) for above in overlay.manifest.parents]
    return overlay.index(limits(base, counts)).segments.literals


def whole(changed: PageMap, pages: int) -> np.typing.NDArray[np.bool_]:
    """Which of a VM's pages an overlay changes."""
    found = np.zeros(pages, np.bool_)
    found[changed.pages] = True
    return found


def _pieces(numbers: Numbers) -> list[Numbers]:
    return [numbers[at : at + _PIECE] for at in range(0, len(numbers), _PIECE)]
