"""The log of what verbs do: every command that they run, how long it took and what its result was.

A verb opens it (``open_log``); in programs that do not, such as the engine as a library, nothing is written. It is
``var/log/skerry/skerry.log`` below the cloud's root folder, readable for root and its group (0640), at most ten files of
a megabyte. What cannot be written is skipped: a full disk, or a user who is not root, keeps no verb from its work. Only
what makes something calls ``make_folder``: a verb that looks, and finds no cloud, leaves nothing behind.

Secrets stay out of it: standard input and environments are never logged; values that were given to ``hide``, and what
follows an option, a variable or a key that is called a password, a secret or a token, are shown as ``***``.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

LOG = Path("var/log/skerry/skerry.log")  # below the root folder
SIZE, FILES = 1 << 20, 10
MOST = 2000  # characters of one command
SHORTEST_SECRET = 6  # shorter values are in commands for other reasons

logger = logging.getLogger("skerry")
_SECRET = r"[\w.-]*(?:password|passwd|passphrase|secret|token)[\w.-]*"
_OPTION = re.compile(rf"(?i)--?{_SECRET}")  # its value is the next word
_VARIABLE = re.compile(rf"(?is)((?:--?)?{_SECRET}=).*")  # the whole word
_INSIDE = re.compile(rf"(?i)({_SECRET}[\"']?\s*[=:]\s*|--?{_SECRET}\s+)[^\s,}}]+")  # of a script, or of JSON
_URL = re.compile(r"(://[^\s:/@]*:)[^\s/@]+@")
_hidden: set[str] = set()
_file: _LogFile | None = None
_begins: list[str] = []  # the verb, until its first command is logged
_lock = threading.Lock()


class Running:
    """A command that is running; ``result`` is what is logged of its end."""

    result = ""

    def ended(self, code: int, said: str = "") -> None:
        """It has ended with this exit status. Of a failure, the last line that it ``said`` is logged, too."""
        lines = said.strip().splitlines()
        self.result = f"exit status {code}" + (f" ({lines[-1].strip()[:200]})" if code and lines else "")


def open_log(root: Path, words: Sequence[str], *, verbose: bool) -> None:
    """Log a verb's commands from now on: to the file below ``root``, and with ``verbose`` to the standard error, too."""
    global _file
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    _file = _LogFile(root.absolute() / LOG)
    _begins[:] = [shown(words)]
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(_file)
    if verbose:
        logger.addHandler(_StandardError())


def make_folder() -> None:
    """Make the folder of the log that was opened, where there is none and it can be made."""
    if _file is not None:
        with suppress(OSError):
            Path(_file.baseFilename).parent.mkdir(parents=True, exist_ok=True)


def close_log(result: str, seconds: float) -> None:
    """The verb has ended, after so many seconds. A verb that ran no command is not logged."""
    if not _begins:
        logger.info("%.3f s, %s: the verb", seconds, hidden(result), extra={"verb": True})


def hide(values: Iterable[str]) -> None:
    """Show these values as ``***`` from now on."""
    _hidden.update(value for value in values if len(value) >= SHORTEST_SECRET)


@contextmanager
def command(argv: Sequence[str], where: str = "") -> Iterator[Running]:
    """Log a command when it has ended. ``where`` is the host that it runs on, if that is another one.

    The caller sets ``result``; without one, an exception that leaves the block is it.
    """
    running, start = Running(), time.monotonic()
    try:
        yield running
    except BaseException as error:
        running.result = running.result or f"{type(error).__name__}: {error}".split("\n", 1)[0][:200]
        raise
    finally:
        _write(argv, where, f"{time.monotonic() - start:.3f} s, {running.result or 'done'}")


def started(argv: Sequence[str], pid: int, where: str = "") -> None:
    """Log a program that was started and runs on its own."""
    _write(argv, where, f"started as process {pid}")


def becomes(argv: Sequence[str]) -> None:
    """Log that this process becomes another program."""
    _write(argv, "", "becomes")


def _write(argv: Sequence[str], where: str, what: str) -> None:
    if not logger.isEnabledFor(logging.INFO):
        return
    with _lock:
        verb = _begins.pop() if _begins else None
    if verb is not None:
        logger.info("verb: %s", verb, extra={"verb": True})
    logger.info("%s: %s%s", hidden(what), f"on {where}: " if where else "", shown(argv))


def shown(words: Sequence[str]) -> str:
    """Words as a shell would take them, in one line of at most ``MOST`` characters, without secrets."""
    safe = []
    is_secret = False
    for word in map(str, words):
        safe.append("***" if is_secret else _word(word))
        is_secret = bool(_OPTION.fullmatch(word))
    text = " ".join(safe).replace("\n", "\\n")
    return text if len(text) <= MOST else f"{text[:MOST]}..."


def _word(word: str) -> str:
    variable = _VARIABLE.fullmatch(word)
    return f"{variable[1]}***" if variable else shlex.quote(hidden(word)).replace("'***'", "***")


def hidden(text: str) -> str:
    """The text without secrets."""
    for value in sorted(_hidden, key=len, reverse=True):
        text = text.replace(value, "***")
    return _URL.sub(r"\1***@", _INSIDE.sub(r"\1***", text))


class _StandardError(logging.Handler):
    """Shows commands while they run, on what is the standard error then: a live display may have replaced it."""

    def emit(self, record: logging.LogRecord) -> None:
        if not hasattr(record, "verb"):
            with suppress(OSError, ValueError):
                print(f"+ {record.getMessage()}", file=sys.stderr)


class _LogFile(RotatingFileHandler):
    """A file that several processes write, and any of them rotates."""

    stream: TextIOWrapper | None  # type: ignore[assignment]

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=SIZE, backupCount=FILES - 1, delay=True, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s [%(process)d] %(message)s"))

    def _open(self) -> TextIOWrapper:
        # Services may write in this folder: none of them leads root's lines elsewhere by a link.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self.baseFilename, flags, 0o640)
        return os.fdopen(handle, "a", encoding="utf-8", errors="replace")

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            self._follow()
            super().emit(record)

    def _follow(self) -> TextIOWrapper:
        """Open the file, again if another process has rotated it."""
        if self.stream is not None:
            have = os.fstat(self.stream.fileno())
            with suppress(FileNotFoundError):
                there = Path(self.baseFilename).lstat()
                if (there.st_dev, there.st_ino) == (have.st_dev, have.st_ino):
                    return self.stream
            self.stream.close()
            self.stream = None
        self.stream = self._open()
        return self.stream

    def doRollover(self) -> None:
        folder = os.open(Path(self.baseFilename).parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if os.fstat(self._follow().fileno()).st_size > SIZE // 2:  # else another process has just done it
                super().doRollover()
        finally:
            os.close(folder)

    def handleError(self, record: logging.LogRecord) -> None:
        """What cannot be written is skipped."""
