"""The first process of a simulated machine: mounts what a machine has of its own, then reaps.

Runs under ``python -I -S`` with the standard library only. As process 1 of its namespace it takes everything
in there with it when it is killed, and it ends by itself when the pipe on its standard input closes: a
simulated machine never outlives the program that made it.
"""

import ctypes
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path

MS_BIND, MNT_DETACH = 0x1000, 2


def main(plan: str) -> None:
    wanted = json.loads(plan)
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(source: str, target: str, kind: str | None, flags: int = 0, options: str = "") -> None:
        name = kind.encode() if kind else None
        if libc.mount(source.encode(), target.encode(), name, flags, options.encode() or None) != 0:
            sys.exit(f"mount {target}: {os.strerror(ctypes.get_errno())}")

    socket.sethostname(wanted["name"])
    # Where the link leads is asked before /run is covered: some systems keep the file there.
    files = {Path(target).resolve(): source for target, source in wanted["files"].items()}
    # Named namespaces of this machine would live on in here after it has deleted them.
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in reversed([place for place in mounts if place.startswith("/run/")]):
        libc.umount2(place.encode(), MNT_DETACH)
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs")
    mount("tmpfs", "/run", "tmpfs", options="mode=755")
    mount("tmpfs", "/dev/shm", "tmpfs", options="mode=1777")
    Path("/run/lock").mkdir(0o1777)
    for folder in wanted["volatile"]:
        Path(folder).mkdir(parents=True, exist_ok=True)
        mount("tmpfs", folder, "tmpfs", options="mode=755")
    for path, source in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        mount(source, str(path), None, MS_BIND)
    print("up", flush=True)
    serve_as_first()


def serve_as_first() -> None:
    """Reap orphans until standard input closes."""
    wake, woken = socket.socketpair()
    wake.setblocking(False)
    woken.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    while True:
        ready = select.select([0, woken.fileno()], [], [])[0]
        if 0 in ready and not os.read(0, 100):
            return
        if woken.fileno() in ready:
            woken.recv(4096)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


if __name__ == "__main__":
    main(sys.argv[1])
