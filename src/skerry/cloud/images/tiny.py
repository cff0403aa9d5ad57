"""skerry-tiny: a guest that answers on SSH within seconds even where the machine has no KVM.

Three files, as Glance takes them for a server with a kernel of its own: a kernel, an initramfs and a root
disk. Everything comes out of Debian packages that are fetched with apt and unpacked, never installed. The
disk needs no particular kernel: the modules come with the initramfs.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from skerry.cloud.images import cpio, debs, rootfs
from skerry.cloud.images.modules import ModuleTree
from skerry.common.errors import PreflightError
from skerry.common.files import finish
from skerry.common.proc import run

LABEL = "tiny-root"

# The image property os_command_line. The last console is where init and user data speak. The kernel's
# tests of its own ciphers take an emulated processor half a second.
KERNEL_ARGS = "console=tty1 console=ttyS0 no_timer_check cryptomgr.notests quiet"

# What Glance should know. A q35 machine would put the config drive on SATA, for which the cloud kernel has
# no driver.
PROPERTIES = {
    "os_command_line": KERNEL_ARGS,
    "hw_cdrom_bus": "scsi",
    "hw_scsi_model": "virtio-scsi",
}

# What is between the kernel and its root disk, and the network, which is to start with it.
EARLY_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4")
# Loaded while SSH answers already; together with a second look for the disk when the first found none.
LATE_MODULES = (
    *("virtio_scsi", "sd_mod", "sr_mod", "ata_piix"),
    *("isofs", "vfat", "nls_cp437", "nls_ascii"),
    *("button", "evdev", "virtio_rng", "virtio_balloon"),
    "8021q",  # VLANs of trunks
)

KERNEL_PACKAGE = "linux-image-cloud-amd64"
INITRAMFS_APPLETS = ("cat", "cp", "dd", "insmod", "ls", "mount", "sh", "sleep", "switch_root", "tr")

DISK_MIB = 40
# Room for group descriptors, so that the file system can grow this far without moving a thing.
GROWS_TO_GIB = 256

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class TinyImageFiles:
    """``version`` changes when the packages or Skerry's part of the image do."""

    kernel: Path
    initrd: Path
    disk: Path
    version: str


def build(out: Path, work: Path, progress: Callable[[str], None]) -> TinyImageFiles:
    """Build the image into ``out``; downloads are kept in ``work``. What is built already is taken as it is.

    Raises PreflightError (not root), PackageError (no packages), CommandError (a tool failed).
    """
    if os.geteuid() != 0:
        raise PreflightError(
            "Building a guest image needs root: its files belong to root", remedy="Run it with sudo."
        )
    progress("looking up Debian packages")
    kernel_name = debs.latest_dependency(KERNEL_PACKAGE)
    packages = debs.with_libraries(rootfs.PACKAGES, work / "debs")
    (kernel,) = debs.fetch([kernel_name], work / "debs")
    version = _version(kernel, packages)
    image = TinyImageFiles(
        kernel=out / f"skerry-tiny-{version}.vmlinuz",
        initrd=out / f"skerry-tiny-{version}.initrd",
        disk=out / f"skerry-tiny-{version}.qcow2",
        version=version,
    )
    if all(path.is_file() for path in (image.kernel, image.initrd, image.disk)):
        return image
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tiny-", dir=work) as scratch:
        place = Path(scratch)
        progress(f"unpacking {len(packages) + 1} Debian packages")
        debs.unpack(packages, place / "packages")
        debs.unpack([kernel], place / "kernel")
        progress("writing the initramfs")
        (tree,) = (place / "kernel").glob("**/lib/modules/*")
        busybox = debs.find(place / "packages", "bin/busybox")
        (place / "initrd").write_bytes(initramfs(ModuleTree(tree), busybox.read_bytes()))
        progress("writing the root disk")
        rootfs.stage(place / "packages", place / "root")
        _disk(place / "root", place / "disk", uuid.uuid5(uuid.NAMESPACE_DNS, version))
        (installed,) = (place / "kernel/boot").glob("vmlinuz-*")
        vmlinuz = place / "vmlinuz"
        vmlinuz.write_bytes(no_disk(installed.read_bytes()))
        for made, final in (
            (vmlinuz, image.kernel),
            (place / "initrd", image.initrd),
            (place / "disk", image.disk),
        ):
            half = final.with_suffix(".part")
            shutil.copyfile(made, half)
            finish(half, final)
    return image


def no_disk(kernel: bytes) -> bytes:
    """The kernel without the mark of a boot sector at its byte 510, for which loaders do not ask (Linux, x86/boot).

    nova (34.0) takes a file with that mark for a disk with a broken partition table: a server with this kernel could
    not move to a host that does not have the file yet.
    """
    if kernel[510:512] == b"\x55\xaa" and kernel[0x202:0x206] == b"HdrS":
        return kernel[:510] + b"\0\0" + kernel[512:]
    return kernel


def initramfs(tree: ModuleTree, busybox: bytes) -> bytes:
    """Compressed with gzip: an emulated processor boots as quickly as with zstd or none, xz costs 0.2 s."""
    early = tree.order(EARLY_MODULES)
    late = [name for name in tree.order((*EARLY_MODULES, *LATE_MODULES)) if name not in early]
    archive = cpio.Archive()
    archive.file("init", (_HERE / "guest/initramfs.sh").read_bytes(), 0o755)
    archive.file("bin/busybox", busybox, 0o755)
    for applet in INITRAMFS_APPLETS:
        archive.link(f"bin/{applet}", "busybox")
    for folder in ("dev", "proc", "sys", "root"):
        archive.folder(folder)
    archive.device("dev/console", 5, 1)
    for name in (*early, *late):
        archive.file(f"modules/{name}.ko", tree.read(name))
    for stage_name, names in (("early", early), ("late", late)):
        archive.file(f"modules/{stage_name}", "".join(f"{name}\n" for name in names).encode())
    return gzip.compress(archive.pack(), mtime=0)


def _disk(root: Path, disk: Path, name: uuid.UUID) -> None:
    raw = disk.with_suffix(".raw")
    fixed = {"E2FSPROGS_FAKE_TIME": "1700000000", "SOURCE_DATE_EPOCH": "1700000000"}
    grows = GROWS_TO_GIB * 2**30 // 4096
    # Few inodes per group: the number grows with the disk, and empty tables cost first boots time.
    options = ["-t", "ext4", "-b", "4096", "-N", "4096", "-m", "1", "-J", "size=4", "-L", LABEL]
    layout = ["-U", str(name), "-E", f"resize={grows},hash_seed={name},root_owner=0:0", "-d", str(root)]
    run(["mke2fs", "-q", "-F", *options, *layout, str(raw), f"{DISK_MIB}M"], env=fixed)
    run(["qemu-img", "convert", "-c", "-O", "qcow2", str(raw), str(disk)])


def _version(kernel: debs.Deb, packages: Iterable[debs.Deb]) -> str:
    digest = hashlib.sha256()
    for deb in (kernel, *packages):
        digest.update(f"{deb.name} {deb.version}\n".encode())
    ours = [*(_HERE / f"{name}.py" for name in ("cpio", "debs", "elf", "modules", "rootfs", "tiny"))]
    for path in (*ours, *sorted((_HERE / "guest").glob("*.sh"))):
        digest.update(path.read_bytes())
    return f"{kernel.version}-{digest.hexdigest()[:8]}".replace("~", "-").replace(":", "-")
