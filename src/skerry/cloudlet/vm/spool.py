"""The spool between a VM and a slow link: its memory by page, and which pages the other side does not have yet.

A page that is written again and again while it waits is sent once, as it is when its turn comes.
"""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skerry.cloudlet.overlay.encoder import Changes
from skerry.cloudlet.overlay.pages import PAGE, Numbers, Pages, as_pages


class Spool:
    """Memory of ``pages`` pages, of zeros or of a file's content.

    One thread puts pages in (skerry.cloudlet.vm.stream.Parser), another takes them: a page is marked as dirty after
    it was written, and taken after its mark was cleared, so that a change in between marks it again.
    """

    def __init__(self, pages: int, file: Path | None = None, listed: Numbers | None = None) -> None:
        """``file`` is read, never written to; ``listed`` are its pages that may be anything but zero."""
        if file is None:
            self.map = mmap.mmap(-1, pages * PAGE)
        else:
            with file.open("rb") as opened:
                self.map = mmap.mmap(opened.fileno(), pages * PAGE, access=mmap.ACCESS_COPY)
        self.memory: Pages = as_pages(self.map)
        self.held = bytearray(pages)  # may be anything but zero
        self.dirty = bytearray(pages)
        self._marks: NDArray[np.uint8] = np.frombuffer(self.dirty, np.uint8)
        if listed is not None:
            np.frombuffer(self.held, np.uint8)[listed] = 1

    def put(self, numbers: Numbers, content: Pages) -> None:
        """Pages that the other side has, too."""
        self.memory[numbers] = content
        np.frombuffer(self.held, np.uint8)[numbers] = 1

    def take(self) -> Changes:
        """All dirty pages, which are clean then."""
        # Of a copy: the marks change meanwhile.
        numbers = np.flatnonzero(np.frombuffer(bytes(self.dirty), np.uint8)).astype(np.uint32)
        self._marks[numbers] = 0
        return Changes(numbers, self.memory[numbers])

    def waiting(self) -> int:
        """How many pages are dirty."""
        return self.dirty.count(1)
