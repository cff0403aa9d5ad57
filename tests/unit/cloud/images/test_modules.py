"""The kernel's modules, in the order in which they load."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from tests.support.samples.elf_files import make_elf

from skerry.cloud.images import elf
from skerry.cloud.images.modules import ModuleCycleError, ModuleTree, NoModuleError, load_order


def make_module(folder: Path, name: str, *fields: str, packed: bool = False) -> None:
    image = make_elf(modinfo=b"".join(field.encode() + b"\0" for field in fields))
    path = folder / f"kernel/{name}.ko{'.xz' if packed else ''}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(image) if packed else image)


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
