"""ELF files with nothing but the sections that a test names."""

from __future__ import annotations

import struct


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
