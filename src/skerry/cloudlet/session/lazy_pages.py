"""Memory and disk that are read while they are still on their way.

Each page has a source from the start: the base, zeros, or a literal. A read of literals that are not there yet
waits, and has their segments fetched before all others. What was read, in what order, is the working set.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from skerry.cloudlet.overlay.index import LITERAL
from skerry.cloudlet.overlay.pages import PAGE, Numbers, Pages
from skerry.cloudlet.overlay.rebuild import Rebuild
from skerry.cloudlet.vm.fuse import Reply, VirtualFile

_ABSENT = -1
_BEGIN = 30.0  # seconds


class LazyPages:
    """The two files of a VM, over a base and literals that come in segments.

    ``want`` is called with a segment's number when a read waits for it.
    """

    def __init__(self, rebuild: Rebuild, want: Callable[[int], None]) -> None:
        self._rebuild, self._want = rebuild, want
        segments = rebuild.index.segments
        self._first = segments.first_pages()
        self._literals: Pages = np.empty((segments.literals, PAGE), np.uint8)
        self._there: NDArray[np.bool_] = np.zeros(len(segments), np.bool_)
        self._lock = threading.Lock()
        self._waiting: dict[int, list[Callable[[], None]]] = {}
        self.misses = 0
        self._last, self._begun = 0.0, time.monotonic()
        self.touched: tuple[list[int], list[int]] = ([], [])
        self.images = (
            _Image(rebuild.base.memory, rebuild.base.machine.memory_pages),
            _Image(rebuild.base.disk, rebuild.base.disk_pages),
        )
        for disk, where in ((0, rebuild.index.memory), (1, rebuild.index.disk)):
            pages, refs = where.of_kind(LITERAL)
            self.images[disk].literal[pages] = refs
        for piece in rebuild.without_literals():
            self.images[piece.disk].put(piece.numbers, piece.content)

    def files(self) -> dict[str, VirtualFile]:
        return {
            name: VirtualFile(
                image.pages * PAGE,
                lambda offset, size, reply, number=number: self._read(number, offset, size, reply),  # type: ignore[misc]
            )
            for number, (name, image) in enumerate(zip(("memory", "disk"), self.images, strict=True))
        }

    def arrived(self, number: int, literals: Pages) -> None:
        """A segment is there: whoever waited for it is answered."""
        first = int(self._first[number])
        self._literals[first : first + len(literals)] = literals
        with self._lock:
            self._there[number] = True
            waiting = self._waiting.pop(number, [])
        for go_on in waiting:
            go_on()

    @property
    def complete(self) -> bool:
        return bool(self._there.all())

    def busy(self) -> bool:
        """Whether the guest begins, and has just touched something new or waits for it."""
        now = time.monotonic()
        return now - self._begun < _BEGIN and (now - self._last < 0.05 or bool(self._waiting))

    def _read(self, which: int, offset: int, size: int, reply: Reply) -> None:
        image = self.images[which]
        first, end = offset // PAGE, -(-(offset + size) // PAGE)
        self._last = time.monotonic()
        self.touched[which].extend(range(first, end))
        literal = image.literal[first:end]
        needed = literal[literal != _ABSENT]
        if len(needed):
            numbers = np.unique(np.searchsorted(self._first, needed, side="right") - 1)
            with self._lock:
                missing = [int(number) for number in numbers if not self._there[number]]
                if missing:
                    self.misses += 1
                    again = lambda: self._again(which, offset, size, reply)  # noqa: E731
                    self._waiting.setdefault(missing[0], []).append(again)
            if missing:
                for number in missing:
                    self._want(number)
                return
        self._answer(image, offset, size, first, end, literal, reply)

    def _again(self, which: int, offset: int, size: int, reply: Reply) -> None:
        image = self.images[which]
        first, end = offset // PAGE, -(-(offset + size) // PAGE)
        literal = image.literal[first:end]
        needed = literal[literal != _ABSENT]
        numbers = np.unique(np.searchsorted(self._first, needed, side="right") - 1)
        with self._lock:
            missing = [int(number) for number in numbers if not self._there[number]]
            if missing:
                self._waiting.setdefault(missing[0], []).append(
                    lambda: self._again(which, offset, size, reply)
                )
                return
        self._answer(image, offset, size, first, end, literal, reply)

    def _answer(
        self,
        image: _Image,
        offset: int,
        size: int,
        first: int,
        end: int,
        literal: NDArray[np.int64],
        reply: Reply,
    ) -> None:
        if end - first == 1:
            page = self._literals[literal[0]] if literal[0] != _ABSENT else image.page(first)
            data = page.tobytes()
        else:
            pages = image.range(first, end)
            mine = literal != _ABSENT
            pages[mine] = self._literals[literal[mine]]
            data = pages.tobytes()
        skip = offset - first * PAGE
        reply(data[skip : skip + size])


class _Image:
    """One of the two: which literal each page is, or where else it comes from."""

    def __init__(self, base: Pages, pages: int) -> None:
        self.base, self.pages = base, pages
        self.literal: NDArray[np.int64] = np.full(pages, _ABSENT, np.int64)
        self._other: dict[int, Pages] = {}

    def put(self, numbers: Numbers, content: Pages) -> None:
        self._other.update(zip(numbers.tolist(), content, strict=True))

    def page(self, number: int) -> Pages:
        other = self._other.get(number)
        return self.base[number] if other is None else other

    def range(self, first: int, end: int) -> Pages:
        pages = self.base[first:end].copy()
        for number in range(first, end):
            other = self._other.get(number)
            if other is not None:
                pages[number - first] = other
        return pages
