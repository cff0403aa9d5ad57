"""Bringing segments here: in their order, but for those that someone waits for."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from skerry.cloudlet.overlay.index import Index
from skerry.cloudlet.overlay.pages import Pages
from skerry.cloudlet.overlay.reader import Overlay
from skerry.cloudlet.overlay.segments import WARM_PAGES, Unpacker

_RUN = 1 << 17  # bytes that are asked for at once
_BREATH = 0.005  # seconds
_WORKERS = 2  # while one waits for an answer, the other receives


class Transfer:
    """Fetches, checks and unpacks all segments in threads; ``deliver`` gets each, in whatever order.

    ``failed`` is called once with the first error, and nothing is delivered after it.
    """

    def __init__(
        self,
        overlay: Overlay,
        index: Index,
        deliver: Callable[[int, Pages], None],
        failed: Callable[[Exception], None],
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """``busy``: the rest of the segments should wait, because someone needs the link and the processors."""
        self._overlay, self._index = overlay, index
        self._deliver, self._failed, self._busy = deliver, failed, busy
        self._offsets = index.segments.offsets()
        self._unpacker = Unpacker(index.segments)
        self._held: dict[int, bytes] = {}  # here, but their dictionaries are not
        self._open = [True] * len(index.segments)  # not asked for yet
        self._next = 0
        self._urgent: deque[int] = deque()
        self._lock = threading.Lock()
        self._left = len(index.segments)
        self._stopped = False
        self.received = 0
        self.seconds = 0.0
        self.done = threading.Event()
        if not self._left:
            self.done.set()

    def start(self) -> None:
        self._begun = time.monotonic()
        for _ in range(_WORKERS):
            threading.Thread(target=self._work, daemon=True).start()

    def want(self, number: int) -> None:
        """Have a segment before all others, and before it those that it cannot be unpacked without."""
        with self._lock:
            for each in (*self._unpacker.missing(number), number):
                if self._open[each]:
                    self._urgent.append(each)

    def stop(self) -> None:
        self._stopped = True
        self.done.set()

    def _take(self) -> tuple[int, int]:
        """The next run of segments: first and end. An empty one when all are asked for."""
        with self._lock:
            while self._urgent:
                number = self._urgent.popleft()
                if self._open[number]:
                    self._open[number] = False
                    return number, number + 1
            while self._next < len(self._open) and not self._open[self._next]:
                self._next += 1
            first = end = self._next
            while end < len(self._open) and self._open[end]:
                if end > first and self._offsets[end + 1] - self._offsets[first] > _RUN:
                    break
                self._open[end] = False
                end += 1
            return first, end

    def _is_cold(self) -> bool:
        at = min(self._next, len(self._open) - 1)
        return int(self._index.segments.pages[at]) > WARM_PAGES

    def _work(self) -> None:
        try:
            while not self._stopped:
                while self._busy() and not self._urgent and self._is_cold() and not self._stopped:
                    time.sleep(_BREATH)
                first, end = self._take()
                if first == end:
                    return
                begin = int(self._offsets[first])
                data = self._overlay.source.read(
                    self._overlay.data_offset + begin, int(self._offsets[end]) - begin
                )
                with self._lock:
                    self.received += len(data)
                for number in range(first, end):
                    blob = memoryview(data)[self._offsets[number] - begin : self._offsets[number + 1] - begin]
                    self._arrived(number, blob)
        except Exception as trouble:  # handed to whoever waits
            with self._lock:
                first_one, self._stopped = not self._stopped, True
            if first_one:
                self._failed(trouble)
            self.done.set()

    def _arrived(self, number: int, blob: bytes | memoryview) -> None:
        """Unpack a segment, and then those that have waited for it."""
        ready: list[tuple[int, bytes | memoryview]] = [(number, blob)]
        while ready and not self._stopped:
            number, blob = ready.pop()
            with self._lock:
                if self._unpacker.missing(number):
                    self._held[number] = bytes(blob)
                    continue
            pages = self._overlay.unpack(self._unpacker, number, blob)
            if self._stopped:
                return
            self._deliver(number, pages)
            with self._lock:
                self._left -= 1
                free = [each for each in self._held if not self._unpacker.missing(each)]
                ready += [(each, self._held.pop(each)) for each in free]
                if not self._left:
                    self.seconds = time.monotonic() - self._begun
                    self.done.set()
