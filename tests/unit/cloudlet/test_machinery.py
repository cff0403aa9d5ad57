"""What stands between an overlay and QEMU: migration streams, disk files, transfers; without a QEMU."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import threading
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from skerry.cloudlet.errors import BadBaseError, BadOverlayError, BadStreamError, LinkError
from skerry.cloudlet.overlay import elijah
from skerry.cloudlet.overlay.fetch import HttpSource
from skerry.cloudlet.overlay.machine import Machine
from skerry.cloudlet.overlay.pages import PAGE
from skerry.cloudlet.vm.qcow2 import Writer
from skerry.cloudlet.vm.spool import Spool
from skerry.cloudlet.vm.stream import MAGIC, Parser, State, records
from skerry.common.errors import UsageError

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


def parse(data: bytes) -> tuple[Spool, State]:
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
    assert State.unpack(state.pack()) == state


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


@pytest.mark.parametrize("pages", [1, 512, 513, 5000, 300_000])
def test_disks_are_what_was_written(tmp_path: Path, pages: int) -> None:
    if not shutil.which("qemu-img"):
        pytest.skip("qemu-img is not installed")
    random = np.random.default_rng(pages)
    numbers = random.permutation(pages)[:50].astype(np.uint32)
    content = random.integers(0, 256, (len(numbers), PAGE), np.uint8)
    content[::7] = 0
    writer = Writer(tmp_path / "disk", pages)
    writer.write(numbers[:20], content[:20])
    writer.write(numbers[20:], content[20:])
    writer.finish()
    subprocess.run(["qemu-img", "check", "-q", tmp_path / "disk"], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "raw", tmp_path / "disk", tmp_path / "raw"], check=True)
    raw = np.memmap(tmp_path / "raw", np.uint8, "r").reshape(-1, PAGE)
    assert len(raw) == pages and np.array_equal(raw[numbers], content)
    others = np.setdiff1d(np.arange(min(pages, 5000)), numbers)
    assert not raw[others].any()


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "q35"},
        {"type": "pc-q35-7.2,accel=kvm"},
        {"cpu": "host"},
        {"cpu": "Nehalem,+vmx"},
        {"cpus": 0},
        {"memory_mib": True},
        {"layout": 2},
    ],
)
def test_machines_are_named_and_versioned(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Machine.from_json({**Machine().to_json(), **fields})


# -- HTTP -----------------------------------------------------------------------------------------------

DATA = bytes(range(256)) * 40
Answer = Callable[[BaseHTTPRequestHandler, int, int], None]


def good(handler: BaseHTTPRequestHandler, first: int, last: int) -> None:
    body = DATA[first : last + 1]
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(DATA)}")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def redirecting(handler: BaseHTTPRequestHandler, first: int, last: int) -> None:
    handler.send_response(302)
    handler.send_header("Location", "http://127.0.0.1:9/secret")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def whole(handler: BaseHTTPRequestHandler, first: int, last: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(DATA)))
    handler.end_headers()
    handler.wfile.write(DATA)


def another(handler: BaseHTTPRequestHandler, first: int, last: int) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {first + 1}-{last + 1}/{len(DATA)}")
    handler.send_header("Content-Length", str(last - first + 1))
    handler.end_headers()
    handler.wfile.write(DATA[first + 1 : last + 2])


def short(handler: BaseHTTPRequestHandler, first: int, last: int) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {first}-{last}/{len(DATA)}")
    handler.send_header("Content-Length", str(last - first + 1))
    handler.end_headers()
    handler.wfile.write(DATA[first : first + 3])
    handler.close_connection = True


def fetched(answer: Answer) -> bytes:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            answer(self, int(first), int(last))

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        source = HttpSource(f"http://127.0.0.1:{server.server_port}/overlay")
        try:
            return source.read(100, 300) + source.read(len(DATA) - 5, 100)
        finally:
            source.close()
    finally:
        server.shutdown()
        server.server_close()


def test_ranges_are_fetched() -> None:
    assert fetched(good) == DATA[100:400] + DATA[-5:]


@pytest.mark.parametrize("answer", [redirecting, whole, another, short])
def test_servers_that_answer_otherwise_are_refused(answer: Answer) -> None:
    with pytest.raises((BadOverlayError, LinkError)):
        fetched(answer)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "http://", "gopher://127.0.0.1"])
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(UsageError):
        HttpSource(url)


# -- old packages ---------------------------------------------------------------------------------------


def package(path: Path, digest: str, member: str = "disk") -> None:
    space = "http://opencloudlet.org/xmlns/vmsynthesis/package"
    text = f'<package xmlns="{space}"><image hash_value="{digest}"><disk path="{member}"/></image></package>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(elijah.MANIFEST, text)
        archive.writestr("disk", b"content")


def test_the_disk_of_an_old_package_is_taken_and_checked(tmp_path: Path) -> None:
    path, target = tmp_path / "base.zip", tmp_path / "disk"
    package(path, "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73")
    assert elijah.is_package(path)
    elijah.extract_disk(path, target)
    assert target.read_bytes() == b"content"
    for digest, member in (("0" * 64, "disk"), ("0" * 64, "../etc/passwd")):
        package(path, digest, member)
        with pytest.raises(BadBaseError):
            elijah.extract_disk(path, target)
