"""By what one knows a process of a service, whoever started it: the mark that the launcher left in its environment."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from skerry.cloud.model.layout import Layout
from skerry.common.errors import NotReadyError
from skerry.common.namespaces import namespace_of
from skerry.common.process import environment_of
from skerry.common.wait import wait_for


def service_of(pid: int, layout: Layout) -> str | None:
    """The service of the cloud at ``layout`` that a process belongs to; None for all others.

    A container or a simulated machine may hold a cloud with the same folders: its processes are not ours.
    """
    if namespace_of(pid, "pid") != namespace_of("self", "pid"):
        return None
    path = Path(environment_of(pid).get("SKERRY_SERVICE", ""))
    return path.stem if path.parent == layout.etc / "services" else None


def cloud_of(pid: int) -> Path | None:
    """The root folder of the cloud that a process is a service of, in this and in other network namespaces."""
    path = Path(environment_of(pid).get("SKERRY_SERVICE", ""))
    is_one = path.suffix == ".json" and path.parts[-4:-1] == ("etc", "skerry", "services")
    return path.parents[3] if is_one else None


def other_clouds(layout: Layout) -> set[Path]:
    """The root folders of other clouds whose services run on this machine and in its network."""
    found = set()
    for pid in psutil.pids():
        root = cloud_of(pid)
        same = (namespace_of(pid, kind) == namespace_of("self", kind) for kind in ("pid", "net"))
        if root is not None and root != layout.root and all(same):
            found.add(root)
    return found


def listens(pid: int, port: int) -> bool:
    """Whether a process, or one of its children, listens on a TCP port."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                found = member.net_connections("tcp")
                if any(each.laddr.port == port and each.status == psutil.CONN_LISTEN for each in found):
                    return True
    return False


def fingerprint_of(pid: int) -> str:
    """The fingerprint of the description that a process was started from; empty for what no launcher started."""
    return environment_of(pid).get("SKERRY_FINGERPRINT", "")


def end_all(layout: Layout, seconds: float = 20.0) -> None:
    """End whatever still runs of the services; what has not ended after ``seconds`` is killed, and waited for.

    Raises NotReadyError when something does not end even so.
    """
    left = [process for process in psutil.process_iter() if service_of(process.pid, layout)]

    def missing() -> str | None:
        running = [str(process.pid) for process in left if _runs(process)]
        return f"processes {', '.join(running)} still run" if running else None

    def end(how: Callable[[psutil.Process], None]) -> None:
        for process in left:
            with suppress(psutil.NoSuchProcess):
                how(process)
        wait_for("the end of all services", missing, seconds, 0.05)

    try:
        end(psutil.Process.terminate)
    except NotReadyError:
        end(psutil.Process.kill)


def _runs(process: psutil.Process) -> bool:
    """Whether it does; where nobody reaps orphans (many a container), one that has ended keeps its number for good."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
