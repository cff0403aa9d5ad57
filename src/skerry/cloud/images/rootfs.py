"""The root file system of skerry-tiny: which files of which packages, and what Skerry adds to them."""

from __future__ import annotations

import os
from pathlib import Path

from skerry.cloud.images import debs
from skerry.common.proc import run

USER = "skerry"

_HERE = Path(__file__).parent


def _pam(module: str) -> str:
    return "".join(f"{what} required {module}\n" for what in ("auth", "account", "session"))


PACKAGES = (
    *("busybox-static", "dropbear-bin", "e2fsprogs", "jq", "libpam-modules"),
    *("openssh-sftp-server", "sudo", "util-linux"),
)
# Path on the guest: mode. What Busybox also has (mount and the like) stays Busybox's.
PROGRAMS = {
    "usr/sbin/dropbear": 0o755,
    "usr/bin/dropbearkey": 0o755,
    "usr/lib/openssh/sftp-server": 0o755,
    "usr/bin/jq": 0o755,
    "usr/bin/sudo": 0o4755,
    "usr/libexec/sudo/sudoers.so": 0o644,
    "usr/lib/x86_64-linux-gnu/security/pam_permit.so": 0o644,
    "usr/lib/x86_64-linux-gnu/security/pam_deny.so": 0o644,
    "usr/sbin/resize2fs": 0o755,
    "usr/sbin/mke2fs": 0o755,
    "usr/sbin/blkid": 0o755,
    "usr/bin/lsblk": 0o755,
}
LINKS = {
    "bin": "usr/bin",
    "sbin": "usr/bin",
    "usr/sbin": "bin",
    "lib": "usr/lib",
    "lib64": "usr/lib/x86_64-linux-gnu",
    "usr/lib/sftp-server": "openssh/sftp-server",
    "usr/bin/mkfs.ext4": "mke2fs",
    "usr/bin/mkfs.ext3": "mke2fs",
    "usr/bin/curl": "../lib/skerry/curl.sh",
    "usr/lib/skerry/acpi/PWRF/00000080": "../../power.sh",
    "etc/mtab": "/proc/self/mounts",
    "etc/resolv.conf": "/run/resolv.conf",
    "var/run": "/run",
}
FOLDERS = {
    **dict.fromkeys(("dev", "mnt", "proc", "run", "sys", "var/log", "var/lib/skerry", "etc/dropbear"), 0o755),
    "root": 0o700,
    "tmp": 0o1777,
    "var/tmp": 0o1777,
}
TEXTS = {
    "etc/hostname": "skerry-tiny\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/issue": "skerry-tiny on \\l. SSH with your key as user skerry; no password until you set one.\n\n",
    "etc/os-release": """\
ID=skerry-tiny
ID_LIKE=debian
NAME="Skerry tiny guest"
PRETTY_NAME="Skerry tiny guest"
""",
    "etc/passwd": f"""\
root:x:0:0:root:/root:/bin/sh
{USER}:x:1000:1000::/home/{USER}:/bin/sh
nobody:x:65534:65534::/:/bin/false
""",
    "etc/group": f"root:x:0:\ntty:x:5:\ndisk:x:6:\n{USER}:x:1000:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
    "etc/shells": "/bin/sh\n",
    "etc/profile": "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n",
    # Without it mkfs.ext4 would make file systems without a journal.
    "etc/mke2fs.conf": """\
[defaults]
    base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
    inode_size = 256
[fs_types]
    ext3 = {
        features = has_journal
    }
    ext4 = {
        features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
    }
""",
    # Who may what is said in sudoers alone; nothing else on the guest asks PAM.
    "etc/pam.d/sudo": _pam("pam_permit.so"),
    "etc/pam.d/other": _pam("pam_deny.so"),
    "etc/inittab": """\
::sysinit:/lib/skerry/rc.sh
::respawn:/usr/bin/uevent /lib/skerry/uevent.sh
ttyS0::respawn:/usr/bin/getty -L ttyS0 115200 vt100
tty1::respawn:/usr/bin/getty tty1 38400 linux
::ctrlaltdel:/usr/bin/reboot
::shutdown:/usr/bin/umount -a -r
""",
}
SECRETS = {
    "etc/shadow": (f"root:*:19000::::::\n{USER}:*:19000::::::\n", 0o600),
    "etc/sudoers": (
        'Defaults secure_path="/usr/sbin:/usr/bin:/sbin:/bin"\n'
        f"root ALL=(ALL:ALL) ALL\n{USER} ALL=(ALL:ALL) NOPASSWD: ALL\n",
        0o440,
    ),
}


def stage(packages: Path, root: Path) -> None:
    """Lay out the root file system in the folder ``root`` from unpacked packages."""
    for folder, mode in FOLDERS.items():
        (root / folder).mkdir(parents=True)
        (root / folder).chmod(mode)
    for folder in ("usr/bin", "usr/lib/x86_64-linux-gnu", "usr/lib/skerry", "home"):
        (root / folder).mkdir(parents=True)
    modes = {debs.find(packages, path): mode for path, mode in PROGRAMS.items()}
    for source in debs.link_closure(packages, modes):
        _put(root / _merged(source.relative_to(packages)), source.read_bytes(), modes.get(source, 0o755))
    busybox = root / "usr/bin/busybox"
    # Set-uid is what Busybox is made for: it gives the privilege up except in the likes of ping and su.
    _put(busybox, debs.find(packages, "bin/busybox").read_bytes(), 0o4755)
    for applet in run([str(busybox), "--list"]).stdout.split():
        if not (root / "usr/bin" / applet).exists():
            (root / "usr/bin" / applet).symlink_to("busybox")
    for script in sorted((_HERE / "guest").glob("*.sh")):
        if script.name != "initramfs.sh":
            _put(root / "usr/lib/skerry" / script.name, script.read_bytes(), 0o755)
    for name, text in TEXTS.items():
        _put(root / name, text.encode(), 0o644)
    for name, (text, mode) in SECRETS.items():
        _put(root / name, text.encode(), mode)
    for name, target in LINKS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(target)
    home = root / "home" / USER
    for own, mode in ((home, 0o755), (home / ".ssh", 0o700)):
        own.mkdir(mode=mode)
        os.chown(own, 1000, 1000)
    _put(home / ".ssh/authorized_keys", b"", 0o600)
    os.chown(home / ".ssh/authorized_keys", 1000, 1000)


def _put(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def _merged(path: Path) -> Path:
    """Where a file of a package lands on the guest, which has one folder of programs and one of libraries."""
    text = path.as_posix() if path.parts[0] == "usr" else f"usr/{path.as_posix()}"
    return Path(text.replace("usr/sbin/", "usr/bin/").replace("usr/lib64/", "usr/lib/x86_64-linux-gnu/"))
