"""Starts one service from its JSON: namespace, limits, user, environment; then becomes the service.

Usage: launch.py SPEC [LOG]
LOG is where it writes from then on: no pipe, whose reader may be killed.

Runs under ``python -I -S`` with the standard library only: it is started for every service and every restart,
so it must cost nothing. Both back ends (supervisord, systemd) start services through it. For the same reason it has
a few lines of its own for what skerry.common.process does elsewhere.
"""

import ctypes
import json
import os
import pwd
import resource
import signal
import stat
import struct
import sys
import time

CLONE_NEWNS, CLONE_NEWUTS = 0x00020000, 0x04000000
MS_BIND, MS_REC, MS_SLAVE = 0x1000, 0x4000, 0x80000
MNT_DETACH = 2
PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 8, 24, 38, 47, 2
LAST_CAPABILITY = "/proc/sys/kernel/cap_last_cap"
LINUX_CAPABILITY_VERSION_3 = 0x20080522
CAPABILITIES = {  # capabilities(7), linux/capability.h
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "DAC_READ_SEARCH": 2,
    "FOWNER": 3,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "NET_BIND_SERVICE": 10,
    "NET_ADMIN": 12,
    "NET_RAW": 13,
    "IPC_LOCK": 14,
    "SYS_PTRACE": 19,
    "SYS_ADMIN": 21,
    "SYS_NICE": 23,
}


def main(path: str, log: str = "") -> None:
    with open(path) as file:
        spec = json.load(file)
    # Before all else: its parent is the last that the kernel may end for want of memory, and this is inherited.
    score_for_memory(spec.get("oom_score", 0))  # a record of before an upgrade has none
    if log:
        write_to(log)
    marker = f"SKERRY_SERVICE={path}"
    if not spec["keeps_children"]:
        end_left_overs(marker)
    # Containers may forbid to raise the hard limit.
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = spec["nofile"] if allowed == resource.RLIM_INFINITY else min(spec["nofile"], allowed)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if spec["binds"]:
        bind(spec["binds"])
        for path, user in spec.get("devices", ()):
            give(path, pwd.getpwnam(user).pw_uid)
    if spec.get("hostname"):
        call_machine(spec["hostname"])
    account = pwd.getpwnam(spec["user"])
    if spec.get("bounding") is not None:
        confine(spec["bounding"])
    if account.pw_uid:
        become(account, spec["capabilities"])
    if spec.get("no_new_privs"):
        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.umask(spec.get("umask", 0o027))
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "USER": account.pw_name,
        "SPT_NOENV": "1",  # setproctitle would write over the environment, by which we know our processes
        **spec["env"],
        "SKERRY_SERVICE": path,
        "SKERRY_FINGERPRINT": spec["fingerprint"],
    }
    os.chdir("/")
    os.execvpe(spec["argv"][0], spec["argv"], environment)


def confine(capabilities: list[str]) -> None:
    """Let neither this process nor any that it starts have other capabilities than these (the bounding set)."""
    libc = ctypes.CDLL(None, use_errno=True)
    kept = {CAPABILITIES[name] for name in capabilities}
    with open(LAST_CAPABILITY) as file:
        last = int(file.read())
    for number in set(range(last + 1)) - kept:
        if libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            sys.exit(f"skerry launch: bounding set: {os.strerror(ctypes.get_errno())}")


def score_for_memory(score: int) -> None:
    """Set how soon the kernel ends this process for want of memory (proc(5)); a container may forbid it."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(score))
    except OSError:
        pass


def write_to(log: str) -> None:
    """Let standard output and error be a log that is only appended to; a full disk may have no room for one."""
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    except OSError:
        handle = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(handle, number)
    os.close(handle)


def become(account: pwd.struct_passwd, capabilities: list[str]) -> None:
    """Become an unprivileged user that keeps just these capabilities, over exec too (ambient set)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    mask = sum(1 << CAPABILITIES[name] for name in capabilities)
    header = struct.pack("Ii", LINUX_CAPABILITY_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    if libc.capset(header, struct.pack("6I", low, low, low, high, high, high)) != 0:
        sys.exit(f"skerry launch: capset: {os.strerror(ctypes.get_errno())}")
    for name in capabilities:
        if libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAPABILITIES[name], 0, 0) != 0:
            sys.exit(f"skerry launch: capability {name}: {os.strerror(ctypes.get_errno())}")


def end_left_overs(marker: str) -> None:
    """End what an earlier, killed run of this service left behind: it would hold ports and locks."""
    for deadline, number in ((2.0, signal.SIGTERM), (5.0, signal.SIGKILL)):
        found = left_overs(marker)
        for pid in found:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        until = time.monotonic() + deadline
        while found and time.monotonic() < until:
            time.sleep(0.05)
            found = left_overs(marker)
        if not found:
            return


def left_overs(marker: str) -> list[int]:
    """Processes with this mark; not those of a container whose cloud has the same folders."""
    needle, space = marker.encode(), os.readlink("/proc/self/ns/pid")
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                if os.readlink(f"/proc/{name}/ns/pid") != space:
                    continue
                with open(f"/proc/{name}/environ", "rb") as file:
                    variables = file.read().split(b"\0")
            except OSError:
                continue
            if needle in variables:
                found.append(int(name))
    return found


def call_machine(hostname: str) -> None:
    """Let the machine be called so for this process and its children."""
    libc = ctypes.CDLL(None, use_errno=True)
    name = hostname.encode()
    if libc.unshare(CLONE_NEWUTS) != 0 or libc.sethostname(name, len(name)) != 0:
        sys.exit(f"skerry launch: hostname: {os.strerror(ctypes.get_errno())}")


def bind(binds: list[list[str]]) -> None:
    """Give this process its own mounts: each target shows the source folder instead of the machine's own."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, result: int) -> None:
        if result != 0:
            number = ctypes.get_errno()
            sys.exit(f"skerry launch: {name}: {os.strerror(number)}")

    call("unshare", libc.unshare(CLONE_NEWNS))
    call("mount /", libc.mount(b"none", b"/", None, MS_REC | MS_SLAVE, None))
    for source, target in binds:
        if not os.path.exists(target):
            os.makedirs(target)
        call(f"mount {target}", libc.mount(source.encode(), target.encode(), None, MS_BIND, None))


def give(path: str, owner: int) -> None:
    """Show a device as one that ``owner`` may open, to this process and its children alone.

    Where the kernel lets nobody make devices (a container), it stays as it is.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not os.path.exists(path):
        return
    number = os.stat(path).st_rdev
    # A file system of its own for the moment: the usual places forbid devices. The bind outlives it.
    if libc.mount(b"none", b"/mnt", b"tmpfs", 0, b"mode=755") != 0:
        return
    try:
        os.mknod("/mnt/device", stat.S_IFCHR | 0o600, number)
        os.chown("/mnt/device", owner, -1)
        libc.mount(b"/mnt/device", path.encode(), None, MS_BIND, None)
    except OSError:
        pass
    finally:
        libc.umount2(b"/mnt", MNT_DETACH)


if __name__ == "__main__":
    main(*sys.argv[1:])
