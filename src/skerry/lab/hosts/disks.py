"""What a host has on disk: a view of this machine's /etc, and a /var of its own; or a system of its own.

/etc is laid over this machine's (overlayfs), or copied where the kernel cannot do that. /var is not: the lab's own
folder is in there, which overlayfs refuses, and the machine's databases and clouds are none of a host's business.
It gets the folders that packages made, empty. What belongs to /usr is shared as /usr is: the lists of packages.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from skerry.common.proc import run
from skerry.lab.model import HostPart, LabFile

SHARED = ("lib/dpkg", "lib/apt")  # of /var: what describes /usr
DEPTH = 2  # /var/lib/mysql is made, what is in it is not
# What in /etc makes this machine the one that it is, and not another.
IDENTITY = (
    "skerry",
    "ssh/ssh_host_*",
    "openvswitch/conf.db",
    "openvswitch/system-id.conf",
    "iscsi/initiatorname.iscsi",
    "nvme/hostid",
    "nvme/hostnqn",
)
KEPT = "# The lab writes what stands above; what stands below is kept."  # words: ok (hosts have it on disk)
Mounts = list[list[str]]


def lays_over(note: Path) -> bool:
    """Whether /etc is laid over this machine's, or copied. Once hosts have been made, that stays as it was noted."""
    if note.read_text() not in ("overlay", "copy"):
        note.write_text("overlay" if can_overlay(note.parent) else "copy")
    return note.read_text() == "overlay"


def can_overlay(folder: Path) -> bool:
    """Whether overlayfs works with its upper layer in ``folder``."""
    probe = folder / ".probe"
    shutil.rmtree(probe, ignore_errors=True)
    for part in ("upper", "work", "merged"):
        (probe / part).mkdir(parents=True)
    options = f"lowerdir=/etc,upperdir={probe}/upper,workdir={probe}/work"
    script = f"mount -t overlay overlay -o {options} {probe}/merged && touch {probe}/merged/.probe"
    works = run(["unshare", "--mount", "--propagation=private", "sh", "-c", script], check=False).returncode
    shutil.rmtree(probe, ignore_errors=True)
    return works == 0


def make(folder: Path, *, overlay: bool, frame: list[tuple[str, int, int, int]]) -> None:
    """Make what a host keeps, unless it is there from an earlier time. ``frame`` is what ``var_frame`` found."""
    if not (folder / "var").exists():
        new = folder / ".var"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        for name, mode, user, group in frame:
            (new / name).mkdir(parents=True, exist_ok=True)
            os.chown(new / name, user, group)
            (new / name).chmod(mode)
        for link in Path("/var").iterdir():
            if link.is_symlink():
                (new / link.name).symlink_to(link.readlink())
        new.chmod(0o755)
        new.replace(folder / "var")
    for part in SHARED:
        (folder / "var" / part).mkdir(parents=True, exist_ok=True)
    if not (folder / "etc").exists():
        new = folder / ".etc"
        shutil.rmtree(new, ignore_errors=True)
        if overlay:
            new.mkdir()
            new.chmod(0o755)
        else:
            run(["cp", "-a", "/etc", str(new)])
        _forget_identity(new, overlay)
        new.replace(folder / "etc")
    for part in ("etc-work", "cache", "cache-work"):
        (folder / part).mkdir(exist_ok=True)


def _forget_identity(etc: Path, overlay: bool) -> None:
    for pattern in IDENTITY:
        for path in Path("/etc").glob(pattern):
            mine = etc / path.relative_to("/etc")
            if not overlay:
                shutil.rmtree(mine) if mine.is_dir() and not mine.is_symlink() else mine.unlink()
                continue
            if not mine.parent.exists():
                mine.parent.mkdir()
                shutil.copystat(path.parent, mine.parent)
                os.chown(mine.parent, path.parent.stat().st_uid, path.parent.stat().st_gid)
            os.mknod(mine, stat.S_IFCHR)  # overlayfs: there is nothing of this name


def var_frame() -> list[tuple[str, int, int, int]]:
    """The folders of this machine's /var: name, mode, user, group."""

    def walk(folder: Path, depth: int) -> Iterator[Path]:
        with suppress(PermissionError):
            for path in sorted(folder.iterdir()):
                if path.is_dir() and not path.is_symlink() and not path.name.startswith("skerry"):
                    yield path
                    if depth > 1 and path.name not in ("tmp", "cache"):
                        yield from walk(path, depth - 1)

    found = {path for path in walk(Path("/var"), DEPTH)} | _of_packages()
    rows = []
    for path in sorted(found):
        with suppress(OSError):
            about = path.stat()
            rows.append(
                (str(path.relative_to("/var")), stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid)
            )
    return rows


def _of_packages() -> set[Path]:
    """Folders in /var that packages brought."""
    listed = run(["sh", "-c", "grep -hs '^/var/lib/' /var/lib/dpkg/info/*.list"], check=False).stdout
    paths = (Path(line) for line in listed.splitlines())
    return {path for path in paths if path.is_dir() and not path.is_symlink()}


def mounts(host: HostPart, folder: Path, *, overlay: bool) -> Mounts:
    """What the first process of a host mounts, in this order; ``folder`` is what the host keeps."""
    root = host.root
    volatile = [
        ["tmpfs", f"{root}/dev/shm", "mode=1777"],
        ["tmpfs", f"{root}/tmp", "mode=1777"],
        ["tmpfs", f"{root}/run", "mode=755"],
        ["folder", f"{root}/run/lock", "1777"],
    ]
    shared = [["shared", path, f"{root}{path}"] for path in host.shared]
    if root:
        return [["bind", "/dev", f"{root}/dev"], *volatile, *shared]
    etc = [["overlay", "/etc", f"{folder}/etc", f"{folder}/etc-work", "/etc"]]
    cache = [["overlay", "/var/cache", f"{folder}/cache", f"{folder}/cache-work", f"{folder}/var/cache"]]
    return [
        *(etc if overlay else [["bind", f"{folder}/etc", "/etc"]]),
        *(cache if overlay and (folder / "var/cache").is_dir() else []),
        *(["bind", f"/var/{part}", f"{folder}/var/{part}"] for part in SHARED if Path("/var", part).is_dir()),
        ["bind", f"{folder}/var", "/var"],
        *volatile,
        *shared,
    ]


def files(lab: LabFile, host: str, folder: Path) -> dict[str, str]:
    """The files in /etc that the lab writes at each start of a host, by path; ``folder`` is what the host kept."""
    kept = folder / "etc/hosts"
    before = kept.read_text() if kept.is_file() else ""
    return {
        "/etc/hostname": f"{host}\n",
        "/etc/machine-id": f"{lab.uuid_of(host).hex}\n",
        "/etc/hosts": hosts_file(lab, host, before),
        "/etc/resolv.conf": resolver() if lab.outside else "# This lab has no way outside.\n",
    }


def hosts_file(lab: LabFile, host: str, before: str) -> str:
    """Every host of the lab by name, and what others wrote below. A host without an address knows itself only."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    for part in lab.host:
        address = lab.address_of(part.name) or ("127.0.1.1" if part.name == host else None)
        if address:
            lines.append(f"{address} {part.name}")
    if lab.outside:
        lines += list(_known_outside({"localhost", socket.gethostname(), *(part.name for part in lab.host)}))
    return "\n".join([*lines, KEPT]) + "\n" + before.partition(f"{KEPT}\n")[2]


def _known_outside(without: set[str]) -> Iterator[str]:
    """The others in this machine's own /etc/hosts: a registry may be known in no other way."""
    with suppress(OSError):
        for line in Path("/etc/hosts").read_text().splitlines():
            words = line.partition("#")[0].split()
            if len(words) > 1 and not words[0].startswith(("127.", "::", "ff", "fe")):
                names = [name for name in words[1:] if name not in without]
                if names:
                    yield " ".join([words[0], *names])


def resolver() -> str:
    """This machine's name servers, as others can reach them."""
    for path in (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf")):
        with suppress(OSError):
            text = path.read_text()
            kept = [line for line in text.splitlines() if not line.startswith("nameserver 127.")]
            if any(line.startswith("nameserver") for line in kept):
                return "\n".join(kept) + "\n"
    return "# This machine knows no name server that others could reach.\n"
