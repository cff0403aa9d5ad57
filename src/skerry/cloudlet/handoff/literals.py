"""Pages that came once and may be referred to again: in a file without a name, so that they need not fit into memory."""

from __future__ import annotations

import mmap
import tempfile
from pathlib import Path

from skerry.cloudlet.handoff.batches import NO_PAGES
from skerry.cloudlet.overlay.pages import PAGE, Pages, as_pages


class Literals:
    """Raises ValueError when there come more than ``most``."""

    def __init__(self, folder: Path, most: int) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._most = most
        self.count = 0

    def add(self, pages: Pages) -> None:
        if self.count + len(pages) > self._most:
            raise ValueError(f"more than {self._most} pages were sent")
        if len(pages):
            self._file.write(pages.tobytes())
        self.count += len(pages)

    def pages(self) -> Pages:
        if not self.count:
            return NO_PAGES
        return as_pages(mmap.mmap(self._file.fileno(), self.count * PAGE, access=mmap.ACCESS_READ))

    def close(self) -> None:
        self._file.close()
