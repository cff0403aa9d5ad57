"""By what one knows a process of a service, whoever started it: the mark that the launcher left in its environment."""

from __future__ import annotations

from pathlib import Path

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
