"""The image 'tiny'."""

from __future__ import annotations

import pytest

from skerry.cloud.images import tiny


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
