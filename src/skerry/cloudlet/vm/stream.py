"""QEMU's migration stream: taken apart into memory and devices, and put together again.

The stream of QEMU 7.2 to 10.0 begins with a magic word and the machine's name. A section "ram" follows in
parts: first the list of memory blocks, then records of pages, again and again for those that change meanwhile.
What follows its last part is the devices; that is kept as it is. Numbers are big-endian.

The guest's memory is left out of what is kept: whoever resumes maps it from a file, or puts pages in.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from skerry.cloudlet.errors import BadStreamError
from skerry.cloudlet.overlay.machine import RAM_BLOCK
from skerry.cloudlet.overlay.pages import PAGE, Numbers, Pages
from skerry.cloudlet.vm.spool import Spool

MAGIC = b"QEVM\0\0\0\3"
_EOF, _START, _PART, _END, _FULL, _CONFIG, _FOOTER = 0, 1, 2, 3, 4, 7, 0x7E
_ZERO, _SIZES, _PAGE, _EOS, _CONTINUE = 0x02, 0x04, 0x08, 0x10, 0x20
_MOST_TAIL = 1 << 28
_CHUNK = 1 << 22
_WORD, _HALF = struct.Struct(">Q"), struct.Struct(">I")
_PACKED = struct.Struct("<III")
_NONE = bytes(PAGE)


@dataclass(frozen=True)
class StreamState:
    """A stream without the guest's memory: what comes before it, what after, and the number of its section."""

    section: int
    head: bytes
    tail: bytes

    def pack(self) -> bytes:
        return _PACKED.pack(self.section, len(self.head), len(self.tail)) + self.head + self.tail

    @classmethod
    def unpack(cls, data: bytes) -> StreamState:
        """Raises BadStreamError."""
        if len(data) < _PACKED.size:
            raise BadStreamError("the device state is cut off")
        section, head, tail = _PACKED.unpack_from(data)
        if len(data) != _PACKED.size + head + tail:
            raise BadStreamError("the device state has another length than its head states")
        body = data[_PACKED.size :]
        if not body.startswith(MAGIC):
            raise BadStreamError("the device state is not QEMU's")
        return cls(section, body[:head], body[head:])

    def begin_pages(self) -> bytes:
        """What comes before pages that are put in."""
        return bytes([_PART]) + _HALF.pack(self.section)

    def end_pages(self) -> bytes:
        """What comes after them."""
        return _WORD.pack(_EOS) + bytes([_FOOTER]) + _HALF.pack(self.section)


def records(numbers: Numbers, content: Pages) -> Iterator[bytes]:
    """Records of the guest's pages; each batch names its memory block once."""
    if not len(numbers):
        return
    places = numbers.astype(np.uint64) * PAGE
    batch = np.empty(len(numbers), np.dtype([("head", ">u8"), ("page", "u1", PAGE)]))
    batch["head"], batch["page"] = places | np.uint64(_PAGE | _CONTINUE), content
    name = RAM_BLOCK.encode()
    # The first record once more, with the name.
    yield _WORD.pack(int(places[0]) | _PAGE) + bytes([len(name)]) + name + content[0].tobytes()
    yield batch[1:].tobytes()


class Parser:
    """Takes a stream from a socket into a spool; a page that is not what it was there before becomes dirty.

    ``head`` is what comes before the pages, as soon as it is there, and ``section`` the number of theirs.
    Raises BadStreamError for anything that such a stream does not have, or that is out of bounds.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool, self._map = spool, spool.map
        self.received = 0
        self.section, self.head = 0, b""
        self._whole = False
        self._blocks: dict[bytes, int] = {}
        self._block = b""
        self._others: dict[tuple[bytes, int], bytes] = {}
        self._data = bytearray()
        self._at = 0
        self._socket: socket.socket | None = None

    def read(self, sock: socket.socket, enough: Callable[[], bool] = lambda: False) -> StreamState | None:
        """Read to the stream's end.

        When all of memory has come once, ``enough`` is asked whether to stop there; then there is no state.
        """
        self._socket, asked = sock, False
        if self._take(8) != MAGIC:
            raise BadStreamError("it does not begin as QEMU's do")
        head = MAGIC
        if self._byte() != _CONFIG:
            raise BadStreamError("the machine's name is missing")
        length = self._half()
        if length > 256:
            raise BadStreamError(f"the machine's name has {length} bytes")
        head += bytes([_CONFIG]) + _HALF.pack(length) + self._take(length)
        if self._byte() != _START:
            raise BadStreamError("it has something else than memory in front")
        section = self._half()
        name = self._take(self._byte())
        if name != b"ram":
            raise BadStreamError(f"it has the section {name!r} in front of the memory")
        head += bytes([_START]) + _HALF.pack(section) + bytes([len(name)]) + name + self._take(8)
        head += self._setup() + self._footer(section)
        self.section, self.head = section, head
        while True:
            kind = self._byte()
            if kind not in (_PART, _END) or self._half() != section:
                raise BadStreamError(f"a section of kind {kind} is among the memory's")
            self._records()
            end = self._footer(section)
            if kind == _END:
                break
            if self._whole and not asked:
                asked = True
                if enough():
                    return None
        tail = self._other_pages(section) + bytes([_END]) + _HALF.pack(section) + _WORD.pack(_EOS) + end
        return StreamState(section, head, tail + self._rest())

    def _setup(self) -> bytes:
        """The list of memory blocks."""
        word = self._word()
        if word & 0xFFF != _SIZES:
            raise BadStreamError("the list of memory blocks is missing")
        total, listed, text = word & ~0xFFF, 0, _WORD.pack(word)
        while listed < total:
            name = self._take(self._byte())
            size = self._word()
            if not name or not size or size > total or len(self._blocks) > 64:
                raise BadStreamError("the list of memory blocks is wrong")
            self._blocks[name] = size
            listed += size
            text += bytes([len(name)]) + name + _WORD.pack(size)
        if self._word() != _EOS:
            raise BadStreamError(
                "the list of memory blocks does not end; is a capability on that adds to it?"
            )
        if self._blocks.get(RAM_BLOCK.encode()) != len(self._map):
            known = ", ".join(
                f"{name.decode(errors='replace')}: {size}" for name, size in self._blocks.items()
            )
            raise BadStreamError(
                f"the guest has another memory than {len(self._map)} bytes in {RAM_BLOCK}: {known}"
            )
        return text + _WORD.pack(_EOS)

    def _records(self) -> None:
        """Pages, up to the end of a part. The one loop that has to be quick."""
        ram, unpack = RAM_BLOCK.encode(), _WORD.unpack_from
        memory, dirty, held = self._map, self._spool.dirty, self._spool.held
        size = len(memory)
        last = size - PAGE
        while True:
            if len(self._data) - self._at < 8192:
                self._fill()
            if len(self._data) - self._at < 8:
                raise BadStreamError("it ends among the pages")
            data, at = self._data, self._at
            (word,) = unpack(data, at)
            at += 8
            flags, place = word & 0xFFF, word & ~0xFFF
            if flags == _EOS:
                self._at = at
                return
            if not flags & _CONTINUE:
                if at >= len(data):
                    raise BadStreamError("it ends among the pages")
                length = data[at]
                self._block = bytes(data[at + 1 : at + 1 + length])
                at += 1 + length
                if self._block not in self._blocks:
                    raise BadStreamError(f"a page is of the unknown memory block {self._block!r}")
            kind = flags & ~_CONTINUE
            if kind == _PAGE:
                end = at + PAGE
                if end > len(data):
                    raise BadStreamError("it ends within a page")
                if self._block == ram:
                    if place >= size:
                        raise BadStreamError("a page is beyond the end of memory")
                    number, page = place >> 12, data[at:end]
                    if not held[number] or memory[place : place + PAGE] != page:
                        memory[place : place + PAGE] = page
                        dirty[number] = held[number] = 1
                    if place == last:
                        self._whole = True
                else:
                    self._other(place, bytes(data[at:end]))
                self.received += PAGE
            elif kind == _ZERO:
                end = at + 1
                if end > len(data) or data[at]:
                    raise BadStreamError("a page is filled with something else than zeros")
                if self._block == ram:
                    if place >= size:
                        raise BadStreamError("a page is beyond the end of memory")
                    # Untouched memory is zero already, and stays unallocated.
                    if held[place >> 12]:
                        memory[place : place + PAGE] = _NONE
                        held[place >> 12] = 0
                        dirty[place >> 12] = 1
                    if place == last:
                        self._whole = True
                else:
                    self._other(place, _NONE)
            else:
                raise BadStreamError(f"a page has the flags {flags:#x}, which only a capability sets")
            self._at = end

    def _other(self, place: int, content: bytes) -> None:
        if place >= self._blocks[self._block]:
            raise BadStreamError("a page is beyond the end of its memory block")
        self._others[self._block, place] = content

    def _other_pages(self, section: int) -> bytes:
        """The pages of the memory that is not the guest's: firmware, tables."""
        parts = [bytes([_PART]), _HALF.pack(section)]
        for (name, place), content in self._others.items():
            zero = content == _NONE
            parts.append(_WORD.pack(place | (_ZERO if zero else _PAGE)) + bytes([len(name)]) + name)
            parts.append(b"\0" if zero else content)
        return b"".join([*parts, _WORD.pack(_EOS), bytes([_FOOTER]), _HALF.pack(section)])

    def _rest(self) -> bytes:
        parts, size = [bytes(self._data[self._at :])], 0
        assert self._socket is not None
        while part := self._socket.recv(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > _MOST_TAIL:
                raise BadStreamError("the devices' state has more than 256 MiB")
        return b"".join(parts)

    def _footer(self, section: int) -> bytes:
        text = self._take(5)
        if text != bytes([_FOOTER]) + _HALF.pack(section):
            raise BadStreamError("a section ends without its footer")
        return text

    def _byte(self) -> int:
        return self._take(1)[0]

    def _half(self) -> int:
        return int(_HALF.unpack(self._take(4))[0])

    def _word(self) -> int:
        return int(_WORD.unpack(self._take(8))[0])

    def _take(self, count: int) -> bytes:
        if len(self._data) - self._at < count:
            self._fill()
        if len(self._data) - self._at < count:
            raise BadStreamError("it ends too early")
        self._at += count
        return bytes(self._data[self._at - count : self._at])

    def _fill(self) -> None:
        """Have 8 KiB at hand, or all that is left."""
        assert self._socket is not None
        del self._data[: self._at]
        self._at = 0
        while len(self._data) < 8192:
            part = self._socket.recv(_CHUNK)
            if not part:
                break
            self._data += part
