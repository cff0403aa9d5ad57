"""What both sides of a handoff hold: the base, perhaps overlays on it, and the pages that a VM of these starts with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.encoder import Sources, finder
from skerry.cloudlet.overlay.index import BASE_DISK, BASE_MEMORY, LITERAL, PARENT, ZERO, Limits, PageMap
from skerry.cloudlet.overlay.pages import PAGE, Pages, digests
from skerry.cloudlet.overlay.rebuild import Piece, Rebuild, limits, parent_literals
from skerry.cloudlet.overlay.store import Store
from skerry.common.errors import SkerryError


class Held:
    """A base and overlays, each on the one before. Raises NotFoundError, BadOverlayError, UntrustedError."""

    def __init__(self, store: Store, base: Base, overlays: Sequence[str]) -> None:
        self.base = base
        self.literals: list[Pages] = [parent_literals(store, base, id) for id in overlays]
        self._rebuild = Rebuild(store.open_overlay(overlays[-1]), store) if overlays else None

    def limits(self, sent: int) -> Limits:
        """What a batch may refer to when ``sent`` literals came before it."""
        return limits(self.base, [*(len(pages) for pages in self.literals), sent])

    def sources(self) -> Sources:
        """Where content is found that need not be sent."""
        known = [finder(digests(pages)) for pages in self.literals]
        return Sources(self.base.finder("disk"), self.base.finder("memory"), known)

    def begin(self) -> Iterator[Piece]:
        """The newest overlay's pages."""
        if self._rebuild is None:
            return
        yield from self._rebuild.without_literals()
        first = self._rebuild.index.segments.first_pages().tolist()
        for number, (low, high) in enumerate(pairwise(first)):
            yield from self._rebuild.of_segment(number, self.literals[-1][low:high])

    def pieces(self, disk: bool, where: PageMap, literals: Pages, earlier: Pages) -> Iterator[Piece]:
        """The pages that one map of a batch names; ``earlier`` are the literals of the batches before."""
        sources = {BASE_DISK: self.base.disk, BASE_MEMORY: self.base.memory, LITERAL: literals}
        sources |= {PARENT + number: pages for number, pages in enumerate([*self.literals, earlier])}
        for kind in np.unique(where.kinds).tolist():
            pages, refs = where.of_kind(kind)
            for at in range(0, len(pages), 2048):
                some = pages[at : at + 2048]
                zeros = np.zeros((len(some), PAGE), np.uint8)
                yield Piece(disk, some, zeros if kind == ZERO else sources[kind][refs[at : at + 2048]])


def chain(store: Store, overlay: str) -> list[str]:
    """The overlays that a session was made of, each on the one before, as far as they are in the store."""
    try:
        return usable(store, [*store.open_overlay(overlay).manifest.parents, overlay]) if overlay else []
    except SkerryError:
        return []


def usable(store: Store, overlays: Sequence[str]) -> list[str]:
    """The first of these that are in the store, up to one that is not, or whose maker is not trusted."""
    found: list[str] = []
    for id in overlays:
        try:
            overlay = store.open_overlay(id)
        except SkerryError:
            break
        if overlay.manifest.id != id or list(overlay.manifest.parents) != found:
            break
        found.append(id)
    return found
