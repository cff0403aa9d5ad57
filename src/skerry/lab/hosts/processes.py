"""Processes as /proc shows them. A number alone is not a process: it comes again. With its start time it is one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from skerry.common.errors import PreflightError
from skerry.lab.hosts.namespaces import PATIENCE

EXITING = 0x4  # PF_EXITING of the kernel: it is being taken down, and has let go of its files already


def _stat(pid: int) -> list[str]:
    """The words of /proc/PID/stat after the name, from the state on; none when the process has ended."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if words[0] in "ZX" else words


def start_of(pid: int) -> int | None:
    """When a process was started, in clock ticks; None when it has ended (even if nobody has noticed yet)."""
    words = _stat(pid)
    return int(words[19]) if words else None


def runs(pid: int, started: int) -> bool:
    """Whether the process of this number that was started then is still there, and not on its way out."""
    words = _stat(pid)
    return bool(words) and int(words[19]) == started and not int(words[6]) & EXITING


def kill(pids: Iterable[int]) -> None:
    """Kill processes and wait until they are gone. Raises PreflightError when one does not go."""
    started = {pid: start_of(pid) for pid in pids}
    for pid in started:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while left := [pid for pid, ticks in started.items() if ticks is not None and start_of(pid) == ticks]:
        if time.monotonic() > deadline:
            raise PreflightError(f"The processes {left} cannot be killed.", remedy="Look at them with ps.")
        time.sleep(0.01)


def find(first: int, text: str) -> Iterator[tuple[int, int]]:
    """Processes in the namespace of a first process: by the name of their program, or by the number they have there.

    Yields the number that this machine gives each, and when it was started. The first process has only its number.
    """
    space = Path(f"/proc/{first}/ns/pid").readlink()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            if (entry / "ns/pid").readlink() != space:
                continue
            lines = (entry / "status").read_text().splitlines()
            numbers = next(line.split()[1:] for line in lines if line.startswith("NSpid:"))
            argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            names = {(entry / "comm").read_text().strip(), Path(argv[0]).name}
            if text.isdigit() and numbers[-1] != text:
                continue
            if not text.isdigit() and (text not in names or int(entry.name) == first):
                continue
            started = start_of(int(entry.name))
            if started is not None:
                yield int(entry.name), started
