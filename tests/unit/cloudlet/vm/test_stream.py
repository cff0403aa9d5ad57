"""QEMU's migration streams: taken apart, put together, and refused when hostile."""

from __future__ import annotations

import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest

from skerry.cloudlet.errors import BadStreamError
from skerry.cloudlet.overlay.pages import PAGE
from skerry.cloudlet.vm.spool import Spool
from skerry.cloudlet.vm.stream import MAGIC, Parser, StreamState, records

PAGES = 8
FOOTER = b"\x7e" + struct.pack(">I", 3)
EOS = struct.pack(">Q", 0x10)


def block(name: bytes, size: int) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">Q", size)


def page(number: int, content: bytes, name: bytes = b"") -> bytes:
    flags = 8 if name else 8 | 0x20
    return struct.pack(">Q", number * PAGE | flags) + (bytes([len(name)]) + name if name else b"") + content


def stream(parts: bytes, blocks: bytes = b"", total: int = PAGES * PAGE + PAGE) -> bytes:
    setup = struct.pack(">Q", total | 4) + (blocks or block(b"ram", PAGES * PAGE) + block(b"rom", PAGE)) + EOS
    head = (
        MAGIC
        + b"\x07"
        + struct.pack(">I", 3)
        + b"pc1"
        + b"\x01"
        + struct.pack(">I", 3)
        + b"\x03ram"
        + bytes(8)
    )
    return head + setup + FOOTER + parts + b"\x03" + struct.pack(">I", 3) + EOS + FOOTER + b"\x04devices"


def part(body: bytes) -> bytes:
    return b"\x02" + struct.pack(">I", 3) + body + EOS + FOOTER


def parse(data: bytes) -> tuple[Spool, StreamState]:
    ours, theirs = socket.socketpair()
    spool = Spool(PAGES)

    def send() -> None:
        with theirs:
            try:
                theirs.sendall(data)
            except BrokenPipeError:
                pass

    thread = threading.Thread(target=send)
    thread.start()
    try:
        state = Parser(spool).read(ours)
        assert state is not None
        return spool, state
    finally:
        ours.close()
        thread.join()


ONE, TWO = b"\1" * PAGE, b"\2" * PAGE


def test_pages_go_to_memory_and_the_rest_is_kept() -> None:
    body = page(2, ONE, b"ram") + page(3, TWO) + page(0, TWO, b"rom") + page(2, TWO, b"ram")
    body += struct.pack(">Q", 3 * PAGE | 0x22) + b"\0"
    spool, state = parse(stream(part(body)))
    assert spool.memory[2].tobytes() == TWO
    assert not spool.memory[3].any()
    assert state.tail.endswith(b"\x04devices") and b"\x03rom" + TWO in state.tail and ONE not in state.tail
    assert StreamState.unpack(state.pack()) == state


def test_pages_that_are_put_in_come_out_again() -> None:
    _, state = parse(stream(b""))
    content = np.frombuffer(ONE + TWO, np.uint8).reshape(2, PAGE)
    put_in = b"".join(records(np.array([1, 5], np.uint32), content))
    spool, again = parse(state.head + state.begin_pages() + put_in + state.end_pages() + state.tail)
    assert spool.memory[1].tobytes() == ONE and spool.memory[5].tobytes() == TWO
    assert again.head == state.head


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "early"),
        (b"QEVMxxxx" * 4, "begin"),
        (stream(part(page(PAGES, ONE, b"ram"))), "beyond"),
        (stream(part(page(1, ONE, b"rom"))), "beyond"),
        (stream(part(page(0, ONE, b"nul"))), "unknown memory block"),
        (stream(part(struct.pack(">Q", 0x60))), "capability"),
        (stream(part(struct.pack(">Q", 0x120))), "capability"),
        (stream(part(struct.pack(">Q", 2) + b"\3ram" + b"x")), "zeros"),
        (stream(part(b""), block(b"ram", PAGES * PAGE * 2), PAGES * PAGE * 2), "another memory"),
        (stream(b"\x04" + bytes(10)), "kind 4"),
        (stream(part(page(1, ONE, b"ram")))[:3000], "ends"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_streams_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadStreamError, match=why):
        parse(data)


def test_random_streams_do_nothing_else_than_fail() -> None:
    random = np.random.default_rng(1)
    good = stream(part(page(2, ONE, b"ram")))
    for _ in range(200):
        data = bytearray(good)
        for _ in range(3):
            data[random.integers(0, 120)] = random.integers(0, 256)
        try:
            parse(bytes(data))
        except BadStreamError:
            pass


DATA = bytes(range(256)) * 40


def good(handler: BaseHTTPRequestHandler, first: int, last: int) -> None:
    body = DATA[first : last + 1]
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(DATA)}")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
