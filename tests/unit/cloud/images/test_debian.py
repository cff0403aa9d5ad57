"""The boot area of Debian's image."""

from __future__ import annotations

import struct

import pytest

from skerry.cloud.images import debian
from skerry.common.errors import PackageError


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
