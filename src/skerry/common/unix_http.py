"""HTTP over a Unix socket, for services that listen on one."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path


class UnixHTTPConnection(http.client.HTTPConnection):
    """A connection to the server behind a socket of the file system; ``timeout`` in seconds, for each answer.

    Raises OSError when nothing listens there, as any HTTPConnection does.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
