"""Overlays over HTTP, from servers that do what they should and from others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from skerry.cloudlet.errors import BadOverlayError, LinkError
from skerry.cloudlet.overlay.http_source import HttpSource
from skerry.common.errors import UsageError

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
