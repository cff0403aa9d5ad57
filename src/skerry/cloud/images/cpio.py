"""A writer of cpio archives in the "newc" form that Linux unpacks as an initramfs.

Written here because it is a page, and device nodes and owners then need neither root nor the cpio program.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field


@dataclass
class Archive:
    """Entries are owned by root and carry no time, so that the same content gives the same bytes."""

    _parts: list[bytes] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        self._parents(path)
        self._entry(path, stat.S_IFREG | mode, content)

    def link(self, path: str, target: str) -> None:
        self._parents(path)
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def folder(self, path: str) -> None:
        if path not in self._seen:
            self._parents(path)
            self._entry(path, stat.S_IFDIR | 0o755, b"")

    def device(self, path: str, major: int, minor: int) -> None:
        """A character device."""
        self._parents(path)
        self._entry(path, stat.S_IFCHR | 0o600, b"", (major, minor))

    def pack(self) -> bytes:
        return b"".join([*self._parts, _entry("TRAILER!!!", 0, 0, b"", (0, 0))])

    def _parents(self, path: str) -> None:
        above = path.rpartition("/")[0]
        if above:
            self.folder(above)

    def _entry(self, path: str, mode: int, content: bytes, device: tuple[int, int] = (0, 0)) -> None:
        self._seen.add(path)
        self._parts.append(_entry(path, len(self._seen), mode, content, device))


def _entry(path: str, inode: int, mode: int, content: bytes, device: tuple[int, int]) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    numbers = (inode, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name
    return _padded(head) + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % 4)
