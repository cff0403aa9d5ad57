"""HTTP over a Unix socket, with a real server."""

from __future__ import annotations

import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from skerry.common.unix_http import UnixHTTPConnection


class Greeter(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def address_string(self) -> str:
        return "somebody"

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_server_behind_a_socket_answers(tmp_path: Path) -> None:
    with socketserver.UnixStreamServer(str(tmp_path / "s"), Greeter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connection = UnixHTTPConnection(tmp_path / "s", timeout=5)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello"
        connection.close()
        server.shutdown()


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        UnixHTTPConnection(tmp_path / "s", timeout=5).request("GET", "/")


def test_one_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    with socketserver.UnixStreamServer(str(tmp_path / "s"), Greeter):
        connection = UnixHTTPConnection(tmp_path / "s", timeout=0.2)
        connection.request("GET", "/")
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
