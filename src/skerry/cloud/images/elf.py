"""What kernel modules and programs state about themselves: the sections of a 64-bit little-endian ELF file."""

from __future__ import annotations

import struct

from skerry.common.errors import ImageError


class NotElfError(ImageError):
    """{} is not a 64-bit little-endian ELF file"""


def is_elf(image: bytes) -> bool:
    return image[:6] == b"\x7fELF\x02\x01"


def section(image: bytes, name: str, source: str = "the file") -> bytes:
    """The bytes of one section, empty when there is none of that name.

    Raises NotElfError, which names ``source``.
    """
    if not is_elf(image):
        raise NotElfError(source)
    (table,) = struct.unpack_from("<Q", image, 0x28)
    size, count, names = struct.unpack_from("<HHH", image, 0x3A)

    def bounds(index: int) -> tuple[int, int, int]:
        label, _, _, _, offset, length = struct.unpack_from("<IIQQQQ", image, table + index * size)
        return label, offset, length

    _, strings, _ = bounds(names)
    wanted = name.encode() + b"\0"
    for index in range(count):
        label, offset, length = bounds(index)
        if image.startswith(wanted, strings + label):
            return image[offset : offset + length]
    return b""


def module_info(image: bytes, source: str = "the module") -> dict[str, list[str]]:
    """The ``modinfo`` fields of a kernel module, such as ``{"depends": ["virtio,virtio_ring"]}``."""
    fields: dict[str, list[str]] = {}
    for entry in section(image, ".modinfo", source).split(b"\0"):
        key, found, value = entry.decode(errors="replace").partition("=")
        if found:
            fields.setdefault(key, []).append(value)
    return fields


def needed(image: bytes, source: str = "the program") -> list[str]:
    """The shared libraries that a program or library is linked with (DT_NEEDED), and its loader."""
    strings = section(image, ".dynstr", source)
    found = [
        strings[value : strings.index(b"\0", value)].decode()
        for tag, value in struct.iter_unpack("<qQ", section(image, ".dynamic", source))
        if tag == 1
    ]
    loader = section(image, ".interp", source).rstrip(b"\0").decode()
    return found + ([loader.rpartition("/")[2]] if loader else [])
