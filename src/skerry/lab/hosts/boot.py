"""Starts the first processes of hosts and switches, each in namespaces of its own, and ends.

Runs under ``python -I -S`` with the standard library only: one interpreter for all, that forks. The plan comes as JSON
on standard input; for each node, a line of JSON with its process id or its error goes out. The processes are detached:
they live on until they are killed, and take everything in their namespaces with them.

A first process reaps for free: ignored SIGCHLD survives exec, and what it becomes just sleeps.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x1000, 0x4000, 1 << 18, 2
SPACES = {  # the bits of unshare(2)
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    plan = json.load(sys.stdin)
    pipes = {}
    for node in plan["nodes"]:
        out, into = os.pipe()
        if os.fork() == 0:
            # Whatever happens in here must not continue as if it were the parent.
            try:
                start(node, into, plan["mark"])
            except BaseException as error:
                tell(into, error=str(error) or type(error).__name__)
            os._exit(0)
        os.close(into)
        pipes[node["name"]] = out
    for name, out in pipes.items():
        with os.fdopen(out) as lines:
            found: dict[str, Any] = {}
            for line in lines:
                found.update(json.loads(line))
        print(json.dumps({"name": name, **found}), flush=True)


def tell(into: int, **what: Any) -> None:
    os.write(into, json.dumps(what).encode() + b"\n")


def start(node: dict[str, Any], into: int, mark: str) -> None:
    os.setsid()
    for space in node["spaces"]:
        if LIBC.unshare(SPACES[space]) != 0:
            raise OSError(f"no {space} namespace: {os.strerror(ctypes.get_errno())}")
    pid = os.fork()
    if pid:
        tell(into, pid=pid)
        return
    try:
        furnish(node)
    except BaseException as error:
        tell(into, error=str(error) or type(error).__name__)
        os._exit(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    tell(into, ready=True)
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "SKERRY_LAB": mark,
        "SKERRY_LAB_NODE": node["name"],
    }
    os.execvpe("sleep", ["sleep", "infinity"], environment)


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    name = kind.encode() if kind else None
    if LIBC.mount(source.encode(), target.encode(), name, flags, options.encode() or None) != 0:
        raise OSError(f"mount {target}: {os.strerror(ctypes.get_errno())}")


def furnish(node: dict[str, Any]) -> None:
    """As the first process: make the mounts of the node, name it, and bring up its loopback."""
    root = node.get("root", "")
    socket.sethostname(node["hostname"])
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    # Opened before anything covers them.
    shared = {words[0]: os.open(words[0], os.O_PATH) for kind, *words in node["mounts"] if kind == "shared"}
    # Named namespaces of this machine would live on in here after it has deleted them.
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in reversed([place for place in mounts if place.startswith("/run/")]):
        LIBC.umount2(place.encode(), MNT_DETACH)
    makers: dict[str, Callable[..., None]] = {
        "bind": bind,
        "overlay": overlay,
        "tmpfs": tmpfs,
        "folder": make_folder,
        "shared": lambda path, target: share(shared[path], target),
    }
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs")
    if root:
        bind(root, root)
        bind("/proc", f"{root}/proc")
        bind("/sys", f"{root}/sys")
    for kind, *words in node["mounts"]:
        makers[kind](*words)
    for name, text in node.get("files", {}).items():
        path = Path(root + name)
        if path.is_symlink():
            path.unlink()
        path.write_text(text)
    for setting, value in node.get("settings", {}).items():
        if Path("/proc/sys", setting).exists():
            Path("/proc/sys", setting).write_text(value)
    with socket.socket() as any_socket:
        request = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))
    if root:
        enter(root)


def enter(root: str) -> None:
    """Make a mounted folder the root of this namespace, and let go of the old one (pivot_root(2))."""
    os.chdir(root)
    if LIBC.pivot_root(b".", b".") != 0 or LIBC.umount2(b".", MNT_DETACH) != 0:
        raise OSError(f"pivot_root {root}: {os.strerror(ctypes.get_errno())}")
    os.chdir("/")


def bind(source: str, target: str) -> None:
    mount(source, target, flags=MS_BIND | MS_REC)


def share(handle: int, target: str) -> None:
    Path(target).mkdir(parents=True, exist_ok=True)
    bind(f"/proc/self/fd/{handle}", target)


def overlay(lower: str, upper: str, work: str, target: str) -> None:
    mount("overlay", target, "overlay", options=f"lowerdir={lower},upperdir={upper},workdir={work}")


def make_folder(path: str, mode: str) -> None:
    Path(path).mkdir(exist_ok=True)
    Path(path).chmod(int(mode, 8))


def tmpfs(target: str, options: str) -> None:
    mount("tmpfs", target, "tmpfs", options=options)


if __name__ == "__main__":
    main()
