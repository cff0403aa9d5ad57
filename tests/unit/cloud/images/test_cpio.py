"""cpio archives, read back by the format's description."""

from __future__ import annotations

from skerry.cloud.images import cpio


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
