"""Which process is which: by its start time, its environment, and its namespace of processes.

A process id alone identifies nothing: the kernel gives it out again. Together with the start time it does.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from skerry.common.errors import PreflightError
from skerry.common.namespaces import namespace_of

SECONDS_TO_END = 20.0  # for a killed process
EXITING = 0x4  # PF_EXITING of the kernel: it is being removed, and has closed its files already


def _stat(pid: int) -> list[str]:
    """The words of /proc/PID/stat after the name, from the state on; none when the process has ended."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if words[0] in "ZX" else words


def start_of(pid: int) -> int | None:
    """When a process was started, in clock ticks since the boot; None when it has ended (even as a zombie)."""
    words = _stat(pid)
    return int(words[19]) if words else None


def runs(pid: int, started: int) -> bool:
    """Whether the process with this id that was started then is still there, and not about to end."""
    words = _stat(pid)
    return bool(words) and int(words[19]) == started and not int(words[6]) & EXITING


def environment_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with; empty when it has ended or may not be read."""
    try:
        return dict(psutil.Process(pid).environ())
    except (psutil.Error, OSError):
        return {}


def marked(variable: str, value: str) -> list[int]:
    """The processes that were started with this environment variable, in this and in inner namespaces."""
    return [pid for pid in psutil.pids() if environment_of(pid).get(variable) == value]


def kill(pids: Iterable[int]) -> None:
    """Kill processes and wait until they have ended. Raises PreflightError when one does not end."""
    started = {pid: start_of(pid) for pid in pids}
    for pid in started:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + SECONDS_TO_END
    while left := [pid for pid, ticks in started.items() if ticks is not None and start_of(pid) == ticks]:
        if time.monotonic() > deadline:
            raise PreflightError(f"The processes {left} cannot be killed.", remedy="Look at them with ps.")
        time.sleep(0.01)


def find(first: int, text: str) -> Iterator[tuple[int, int]]:
    """Processes in the namespace of a first process: by the name of their program, or by their id in there.

    Yields the id that this machine gives each, and its start time. The first process is found by its id only.
    """
    space = namespace_of(first, "pid")
    for pid in psutil.pids():
        with suppress(OSError):
            if space is None or namespace_of(pid, "pid") != space:
                continue
            entry = Path(f"/proc/{pid}")
            lines = (entry / "status").read_text().splitlines()
            numbers = next(line.split()[1:] for line in lines if line.startswith("NSpid:"))
            argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            names = {(entry / "comm").read_text().strip(), Path(argv[0]).name}
            if text.isdigit() and numbers[-1] != text:
                continue
            if not text.isdigit() and (text not in names or pid == first):
                continue
            started = start_of(pid)
            if started is not None:
                yield pid, started
