"""The parts of the image builder that need no packages: ELF, module order, cpio."""

from __future__ import annotations

import lzma
import struct
from pathlib import Path

import pytest

from skerry.cloud.images import cpio, debian, elf, tiny
from skerry.cloud.images.modules import ModuleCycleError, ModuleTree, NoModuleError, load_order
from skerry.common.errors import PackageError


def make_elf(**sections: bytes) -> bytes:
    """A 64-bit ELF file that has nothing but the named sections."""
    named = {"": b"", **{f".{name}": data for name, data in sections.items()}}
    names = b"".join(name.encode() + b"\0" for name in named) + b".shstrtab\0"
    named[".shstrtab"] = names
    body, headers, label = b"", b"", 0
    for name, data in named.items():
        headers += struct.pack("<IIQQQQIIQQ", label, 1, 0, 0, 64 + len(body), len(data), 0, 0, 1, 0)
        body += data
        label += len(name) + 1
    start = b"\x7fELF\x02\x01".ljust(0x28, b"\0") + struct.pack("<Q", 64 + len(body))
    tail = struct.pack("<HHH", 64, len(named), len(named) - 1)
    return (start.ljust(0x3A, b"\0") + tail).ljust(64, b"\0") + body + headers


def make_module(folder: Path, name: str, *fields: str, packed: bool = False) -> None:
    image = make_elf(modinfo=b"".join(field.encode() + b"\0" for field in fields))
    path = folder / f"kernel/{name}.ko{'.xz' if packed else ''}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(image) if packed else image)


def test_module_info() -> None:
    info = elf.module_info(make_elf(modinfo=b"alias=a\0alias=b\0depends=x,y\0vermagic=6.1 SMP\0"))
    assert info == {"alias": ["a", "b"], "depends": ["x,y"], "vermagic": ["6.1 SMP"]}


def test_needed_libraries_and_loader() -> None:
    strings = b"\0libc.so.6\0libz.so.1\0"
    dynamic = b"".join(struct.pack("<qQ", *pair) for pair in ((1, 1), (14, 5), (1, 11), (0, 0)))
    image = make_elf(dynstr=strings, dynamic=dynamic, interp=b"/lib64/ld-linux-x86-64.so.2\0")
    assert elf.needed(image) == ["libc.so.6", "libz.so.1", "ld-linux-x86-64.so.2"]
    assert elf.needed(make_elf()) == []


def test_what_is_no_elf_is_named() -> None:
    with pytest.raises(elf.NotElfError, match=r"^vmlinuz is not a 64-bit"):
        elf.section(b"MZ" * 40, ".modinfo", "vmlinuz")


def test_load_order_puts_each_after_what_it_needs() -> None:
    needs = {"net": ["failover", "virtio"], "failover": ["core"], "virtio": ["ring"], "blk": ["virtio"]}
    order = load_order(["net", "blk"], lambda name: needs.get(name, []))
    assert order == ["core", "failover", "ring", "virtio", "net", "blk"]


def test_load_order_tells_a_circle() -> None:
    needs = {"a": ["b"], "b": ["c"], "c": ["a"]}
    with pytest.raises(ModuleCycleError, match="a -> b -> c -> a"):
        load_order(["a"], needs.__getitem__)


def test_modules_of_a_kernel(tmp_path: Path) -> None:
    make_module(tmp_path, "virtio-net", "depends=net_failover", "softdep=pre: crc32c post: later")
    make_module(tmp_path, "net-failover", "depends=", packed=True)
    make_module(tmp_path, "crc32c", "depends=libcrc")
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\nkernel/lib/libcrc.ko\n")
    tree = ModuleTree(tmp_path)
    assert tree.order(["ext4", "virtio_net"]) == ["net_failover", "crc32c", "virtio_net"]
    assert elf.is_elf(tree.read("net_failover")), "a packed module is unpacked: insmod of Busybox cannot"
    with pytest.raises(NoModuleError, match="no module 'ahci'"):
        tree.order(["ahci"])


def test_cpio_archive() -> None:
    archive = cpio.Archive()
    archive.file("bin/busybox", b"12345", 0o755)
    archive.link("bin/sh", "busybox")
    archive.device("dev/console", 5, 1)
    packed = archive.pack()
    assert [(name, oct(mode), data) for name, mode, data in entries(packed)] == [
        ("bin", "0o40755", b""),
        ("bin/busybox", "0o100755", b"12345"),
        ("bin/sh", "0o120777", b"busybox"),
        ("dev", "0o40755", b""),
        ("dev/console", "0o20600", b""),
        ("TRAILER!!!", "0o0", b""),
    ]
    assert len(packed) % 4 == 0


def test_boot_area() -> None:
    area = debian.boot_area(b"B" * 512, b"C" * 1000, disk_mib=100)
    assert area[:440] == b"B" * 440
    assert area[512:] == b"C" * 1000, "the core starts in sector 1, where the boot sector looks for it"
    assert area[510:512] == b"\x55\xaa"
    active, kind = area[446], area[450]
    first, length = struct.unpack_from("<II", area, 454)
    assert (active, kind, first, length) == (0x80, 0x83, 2048, 100 * 2048 - 2048)
    with pytest.raises(PackageError, match="does not fit"):
        debian.boot_area(b"B" * 512, b"C" * 2048 * 512, disk_mib=100)


def entries(packed: bytes) -> list[tuple[str, int, bytes]]:
    """Read an archive back, by the format's description and not by the writer's code."""
    found, at = [], 0
    while at < len(packed):
        assert packed[at : at + 6] == b"070701"
        words = [int(packed[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, length = words[1], words[6], words[11]
        name = packed[at + 110 : at + 110 + length - 1].decode()
        data = at + 110 + length + -(110 + length) % 4
        found.append((name, mode, packed[data : data + size]))
        at = data + size + -size % 4
    return found


def test_a_kernel_does_not_pass_for_a_disk() -> None:
    inspectors = pytest.importorskip("oslo_utils.imageutils.format_inspector")
    kernel = bytearray(range(256)) * 8
    kernel[510:512], kernel[0x202:0x206] = b"\x55\xaa", b"HdrS"
    for data, disk in ((bytes(kernel), True), (tiny.no_disk(bytes(kernel)), False)):
        inspector = inspectors.GPTInspector()
        inspector.eat_chunk(data)
        assert inspector.format_match == disk
    assert len(tiny.no_disk(bytes(kernel))) == len(kernel)
    boot_sector = bytes(510) + b"\x55\xaa" + bytes(512)
    assert tiny.no_disk(boot_sector) == boot_sector
