"""By what one knows a process of a service, whoever started it: the mark that the launcher left in its environment."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import psutil

from skerry.cloud.layout import Layout


def service_of(pid: int, layout: Layout) -> str | None:
    """The service of the cloud at ``layout`` that a process belongs to; None for all others.

    A container or a simulated machine may hold a cloud with the same folders: its processes are not ours.
    """
    prefix = f"SKERRY_SERVICE={layout.etc}/services/".encode()
    process = Path(f"/proc/{pid}")
    try:
        if (process / "ns/pid").readlink() != Path("/proc/self/ns/pid").readlink():
            return None
        variables = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    mine = next((value for value in variables if value.startswith(prefix)), None)
    return mine[len(prefix) :].decode().removesuffix(".json") if mine else None


def end_all(layout: Layout, seconds: float = 20.0) -> None:
    """End whatever still runs of the services; what has not ended after ``seconds`` is killed, and waited for."""
    left = [process for process in psutil.process_iter() if service_of(process.pid, layout)]
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                end(process)
        deadline = time.monotonic() + seconds
        while (left := [process for process in left if _runs(process)]) and time.monotonic() < deadline:
            time.sleep(0.05)


def _runs(process: psutil.Process) -> bool:
    """Whether it does; where nobody reaps orphans (many a container), one that has ended keeps its number for good."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
