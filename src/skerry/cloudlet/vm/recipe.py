"""A small Debian that boots without a boot loader and answers an agent: the recipe for base VMs.

mmdebstrap makes the file tree and ``mke2fs -d`` the file system, so that neither loop devices nor mounts are
needed. busybox is the init. Memory that guests free is zeroed (``init_on_free``): it costs no overlay.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skerry.common import debian
from skerry.common.proc import run

PACKAGES = (
    *("linux-image-cloud-amd64", "initramfs-tools", "busybox", "kmod", "iproute2"),
    *("e2fsprogs", "xz-utils", "zstd", "util-linux"),
)
APPEND = (
    "root=/dev/vda rw console=ttyS0 quiet init_on_free=1 no_timer_check cryptomgr.notests net.ifnames=0 "
    "panic=-1"
)
DISK_MIB = 2048

_HERE = Path(__file__).parent / "guest"
_FILES = {
    "etc/inittab": "::sysinit:/etc/skerry/boot\n::respawn:/etc/skerry/agent\n::ctrlaltdel:/bin/busybox reboot\n"
    "::shutdown:/bin/busybox umount -a -r\n",
    "etc/fstab": "/dev/vda / ext4 defaults,discard 0 1\n",
    "etc/hostname": "cloudlet\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/machine-id": "",
    "etc/initramfs-tools/conf.d/skerry": "MODULES=list\nCOMPRESS=zstd\n",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
    # Nothing starts during installations: the init has no notion of services.
    "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
}
_LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists")


@dataclass(frozen=True)
class Guest:
    """What boots: a raw disk with a file system, a kernel, its initramfs and its command line."""

    disk: Path
    kernel: Path
    initrd: Path
    append: str = APPEND


def version() -> str:
    """Changes when the recipe does."""
    ours = [Path(__file__), *sorted(_HERE.iterdir())]
    return hashlib.sha256(b"".join(path.read_bytes() for path in ours)).hexdigest()[:8]


def build(out: Path, report: Callable[[str], None]) -> Guest:
    """Build the Debian guest into the folder ``out``; takes a minute or two and 2 GB meanwhile.

    Raises PreflightError (not root, a tool is missing), PackageError (no package sources), CommandError.
    """
    debian.demand("mke2fs")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".debian-", dir=out) as scratch:
        place = Path(scratch)
        place.chmod(0o755)  # apt drops its privileges to read what it downloads
        root = place / "root"
        report(f"installing Debian {debian.codename()}")
        tree(root)
        guest = Guest(out / "disk.raw", out / "vmlinuz", out / "initrd")
        report("writing the disk")
        shutil.copyfile((root / "vmlinuz").resolve(), guest.kernel)
        shutil.copyfile((root / "initrd.img").resolve(), guest.initrd)
        raw = place / "disk.raw"
        run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "1", "-J", "size=16",
             "-E", "root_owner=0:0,lazy_itable_init=0", "-d", str(root), str(raw), f"{DISK_MIB}M"])  # fmt: skip
        raw.replace(guest.disk)
    return guest


def tree(root: Path, more: tuple[str, ...] = ()) -> None:
    """Make the guest's file tree in ``root``, with the packages ``more`` besides its own."""
    folders = [f"mkdir -p $1/{Path(name).parent}" for name in _FILES]
    staged = [
        f"printf %s {shlex.quote(text)} >$1/{name}"
        for name, text in _FILES.items()
        if name.startswith("etc/initramfs-tools") or name == "usr/sbin/policy-rc.d"
    ]
    runnable = "chmod 755 $1/usr/sbin/policy-rc.d"
    debian.bootstrap(root, [*PACKAGES, *more], hooks=[*folders, *staged, runnable])
    for name, text in _FILES.items():
        (root / name).write_text(text)
    for script in ("boot", "agent"):
        target = root / "etc/skerry" / script
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((_HERE / f"{script}.sh").read_bytes())
        target.chmod(0o755)
    (root / "usr/sbin/init").unlink(missing_ok=True)
    (root / "usr/sbin/init").symlink_to("/bin/busybox")
    (root / "usr/local/bin/killall").symlink_to("/bin/busybox")
    for name in _LEFT_OUT:
        shutil.rmtree(root / name, ignore_errors=True)
