"""A real Debian guest: the release of this machine with cloud-init, as a disk that boots by itself.

mmdebstrap makes the file tree, ``mke2fs -d`` the file system, and the boot sector is written here: neither
loop devices nor mounts of the image are needed, so it also works inside containers.
"""

from __future__ import annotations

import re
import shutil
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skerry.common import debian
from skerry.common.errors import CommandError, PackageError
from skerry.common.files import finish
from skerry.common.proc import run

USER = "debian"
LABEL = "debian-root"
# Glance needs no more than this: the disk has its own kernel and boot loader.
PROPERTIES = {"hw_disk_bus": "virtio", "hw_vif_model": "virtio", "os_distro": "debian"}

PACKAGES = (
    *("linux-image-cloud-amd64", "initramfs-tools", "grub-pc", "e2fsprogs"),
    *("systemd-sysv", "systemd-resolved", "systemd-timesyncd", "libpam-systemd", "udev", "dbus"),
    *("cloud-init", "cloud-guest-utils", "fdisk", "openssh-server", "sudo", "qemu-guest-agent"),
    *("apt-utils", "ca-certificates", "curl", "iproute2", "iputils-ping", "less", "netbase", "vim-tiny"),
)
DISK_MIB = 2048

_KERNEL_ARGS = "console=tty0 console=ttyS0,115200 no_timer_check"
_SECTOR = 512
_FIRST_SECTOR = 2048
_GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "configfile", "linux", "search", "search_label")

_FILES = {
    # Without this list cloud-init spends a while asking for clouds that it is not in.
    "etc/cloud/cloud.cfg.d/90_skerry.cfg": """\
datasource_list: [ConfigDrive, OpenStack, NoCloud, None]
locale: false
system_info:
  default_user:
    name: debian
    gecos: Debian
    groups: [adm, systemd-journal]
    sudo: ["ALL=(ALL) NOPASSWD:ALL"]
    shell: /bin/bash
    lock_passwd: true
  network:
    renderers: [networkd]
    activators: [networkd]
""",
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/default/grub": f"""\
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX="{_KERNEL_ARGS}"
GRUB_TERMINAL="console serial"
""",
    # For the first boot: update-grub, which needs a mounted disk, writes another on the guest.
    "boot/grub/grub.cfg": f"""\
set timeout=0
search --no-floppy --label --set=root {LABEL}
menuentry "Debian" {{
    linux /vmlinuz root=LABEL={LABEL} ro {_KERNEL_ARGS}
    initrd /initrd.img
}}
""",
    "etc/fstab": f"LABEL={LABEL} / ext4 defaults,errors=remount-ro,x-systemd.growfs 0 1\n",
    "etc/hostname": "debian\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
    # Empty, so that each server makes one of its own.
    "etc/machine-id": "",
}


@dataclass(frozen=True)
class DebianImage:
    """``version`` is that of the kernel, with the release's name."""

    disk: Path
    version: str


def build(out: Path, work: Path, progress: Callable[[str], None]) -> DebianImage:
    """Build ``skerry-debian-RELEASE.qcow2`` in ``out``, which takes minutes and 3 GB in ``work``.

    Raises PreflightError (not root, no mmdebstrap), PackageError (no package sources), CommandError.
    """
    debian.demand("mke2fs")
    codename = debian.codename()
    out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="debian-", dir=work) as scratch:
        place = Path(scratch)
        # apt drops its privileges to read what it downloads.
        place.chmod(0o755)
        root = place / "root"
        progress(f"installing Debian {codename} with {len(PACKAGES)} packages and what they need")
        _bootstrap(root)
        version = _finish(root, codename)
        progress("writing the disk")
        raw = place / "disk.raw"
        core = _grub(root)
        _file_system(root, raw)
        with raw.open("r+b") as disk:
            disk.write(boot_area((root / "usr/lib/grub/i386-pc/boot.img").read_bytes(), core, DISK_MIB))
        progress("compressing the disk")
        final = out / f"skerry-debian-{codename}.qcow2"
        half = final.with_suffix(".part")
        run(["qemu-img", "convert", "-c", "-O", "qcow2", str(raw), str(half)], timeout=1800)
        finish(half, final)
    return DebianImage(final, version)


def boot_area(boot: bytes, core: bytes, disk_mib: int) -> bytes:
    """What precedes the one partition: GRUB's boot sector, the partition table, GRUB's core in the gap.

    boot.img loads sector 1, and core.img as grub-mkimage makes it continues at sector 2: in this place both
    need none of the patches that grub-bios-setup makes for others.

    Raises PackageError when the core is too large for the gap.
    """
    if len(core) > (_FIRST_SECTOR - 1) * _SECTOR:
        raise PackageError(f"GRUB's core has {len(core)} bytes and does not fit before the partition")
    length = disk_mib * 2**20 // _SECTOR - _FIRST_SECTOR
    # Active, Linux; the addresses by cylinder are out of use and out of range.
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", _FIRST_SECTOR, length)
    return boot[:440] + b"SKRY\0\0" + entry.ljust(64, b"\0") + b"\x55\xaa" + core


def _bootstrap(root: Path) -> None:
    # The boot loader's package would ask for a disk to install itself on. debconf must be there first.
    preseed = "grub-pc grub-pc/install_devices_empty boolean true"
    debian.bootstrap(root, PACKAGES, hooks=[f"echo '{preseed}' | chroot \"$1\" debconf-set-selections"])


def _finish(root: Path, codename: str) -> str:
    for name, text in _FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    # Host keys are each server's own: cloud-init makes them.
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    run(["chroot", str(root), "systemctl", "enable", "--quiet", "systemd-networkd", "systemd-resolved"])
    resolver = root / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.symlink_to("../run/systemd/resolve/stub-resolv.conf")
    for name in ("vmlinuz", "initrd.img"):
        if not (root / name).is_symlink():
            raise CommandError("mmdebstrap", "no error", f"the tree has no /{name}: the kernel is missing")
    kernel = str((root / "vmlinuz").readlink())
    found = re.search(r"vmlinuz-(\S+)$", kernel)
    return f"{codename}-{found[1] if found else kernel}"


def _grub(root: Path) -> bytes:
    """GRUB's core image, made by the guest's own GRUB."""
    shutil.copytree(root / "usr/lib/grub/i386-pc", root / "boot/grub/i386-pc", dirs_exist_ok=True)
    prefix = ["-p", "(hd0,msdos1)/boot/grub", "-o", "/boot/grub/i386-pc/core.img"]
    run(["chroot", str(root), "grub-mkimage", "-O", "i386-pc", *prefix, *_GRUB_MODULES])
    return (root / "boot/grub/i386-pc/core.img").read_bytes()


def _file_system(root: Path, raw: Path) -> None:
    offset = _FIRST_SECTOR * _SECTOR
    # GRUB of Debian 12 cannot read what newer mke2fs would switch on.
    options = ["-t", "ext4", "-b", "4096", "-L", LABEL, "-O", "^metadata_csum_seed,^orphan_file"]
    blocks = (DISK_MIB * 2**20 - offset) // 4096
    run(["truncate", "-s", f"{DISK_MIB}M", str(raw)])
    run(
        ["mke2fs", "-q", "-F", *options, "-E", f"offset={offset}", "-d", str(root), str(raw), str(blocks)],
        timeout=900,
    )
