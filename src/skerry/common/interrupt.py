"""Ctrl-C and SIGTERM: answered at once, and obeyed by whatever waits.

Within ``answered`` a signal raises nothing where it happens to arrive. It is noted, and its answer is shown at once: what
still runs, and how long that may take. ``check`` then raises in whatever waits and before anything is started, and the
block ends with KeyboardInterrupt. A second signal ends the process as it is: what Skerry does can be continued from any
moment.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from skerry.common.errors import InterruptError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHOWN = 4  # of what still runs; the others are counted
AT_ONCE = "skerry: Ended at once. What was started may still run; the same command continues from here.\n"


class _Noted:
    """What the signals of this process have come to."""

    inside = False
    asked = False
    running: dict[object, tuple[str, float, float]] = {}  # what, since, seconds that it may take


_lock = threading.Lock()


def asked() -> bool:
    """Whether a signal was noted."""
    return _Noted.asked


def noting() -> bool:
    """Whether signals are noted, and so programs that run are to be kept from those of the terminal."""
    return _Noted.inside


def check() -> None:
    """Raise InterruptError when a signal was noted."""
    if _Noted.asked:
        raise InterruptError()


@contextmanager
def running(what: str, seconds: float = 0.0) -> Iterator[None]:
    """Something that is not left in the middle; ``seconds`` is how long it may take. Raises what ``check`` raises."""
    check()
    key = object()
    with _lock:
        _Noted.running[key] = (what, time.monotonic(), seconds)
    try:
        yield
    finally:
        with _lock:
            del _Noted.running[key]


def answer() -> str:
    """What a user who interrupts has to know."""
    with _lock:
        rows = list(_Noted.running.values())
    if not rows:
        return "Interrupted: nothing more is started."
    now = time.monotonic()
    shown = []
    for what, since, seconds in rows[:SHOWN]:
        left = seconds - (now - since)
        shown.append(f"{what} ({f'up to {left:.0f} s more' if left >= 1 else 'nearly done'})")
    more = f" and {len(rows) - SHOWN} others" if len(rows) > SHOWN else ""
    return (
        f"Interrupted: nothing more is started. This still ends: {', '.join(shown)}{more}."
        " A second Ctrl-C does not wait for it."
    )


def _to_standard_error(text: str) -> None:
    print(f"skerry: {text}", file=sys.stderr, flush=True)


@contextmanager
def answered(show: Callable[[str], None] = _to_standard_error) -> Iterator[None]:
    """Within, signals are noted and answered to ``show``. Raises KeyboardInterrupt at the end when one was.

    Inside another such block, and outside of the main thread, it changes nothing.
    """
    if _Noted.inside or threading.current_thread() is not threading.main_thread():
        yield
        return
    words: queue.SimpleQueue[bool] = (
        queue.SimpleQueue()
    )  # its 'put' may be called by what interrupts its 'put'

    def note(number: int, frame: FrameType | None) -> None:
        if _Noted.asked:
            _end_at_once()
        _Noted.asked = True
        words.put(True)

    def speak() -> None:
        if words.get():
            show(answer())

    speaker = threading.Thread(target=speak, name="interrupt", daemon=True)
    speaker.start()
    before = {number: signal.signal(number, note) for number in SIGNALS}
    _Noted.inside = True
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:
        failure = error
    for number, handler in before.items():
        signal.signal(number, handler)
    words.put(False)
    speaker.join(1)
    interrupted, _Noted.inside, _Noted.asked = _Noted.asked, False, False
    if interrupted:
        raise KeyboardInterrupt from None  # of the signal, a program that ran may have failed, too
    if failure is not None:
        raise failure


def _end_at_once() -> None:
    shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # a display of progress has hidden the cursor
    os.write(2, f"{shown}{AT_ONCE}".encode())
    os._exit(InterruptError.exit_code)
