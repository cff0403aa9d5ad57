"""ELF files: modules and libraries."""

from __future__ import annotations

import struct

import pytest
from tests.support.samples.elf_files import make_elf

from skerry.cloud.images import elf


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
