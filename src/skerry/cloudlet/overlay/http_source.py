"""Fetching an overlay over HTTP, piece by piece, from the one address that was given and from nowhere else."""

from __future__ import annotations

import http.client
import ssl
import threading
from urllib.parse import urlsplit

from skerry.cloudlet.errors import BadOverlayError, LinkError
from skerry.common.errors import UsageError

_MOST_READ = 1 << 26
TIMEOUT = 30.0


class HttpSource:
    """An overlay behind a URL. Redirections are not followed, and it must not change meanwhile.

    Thread-safe: each thread has a connection of its own. Raises UsageError (another scheme), LinkError,
    BadOverlayError (no range requests, or another file all of a sudden).
    """

    def __init__(self, url: str) -> None:
        self.name = url
        self._url = urlsplit(url)
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise UsageError(f"'{url}' is neither a file nor an http or https address.")
        self._path = self._url.path + (f"?{self._url.query}" if self._url.query else "")
        self._local = threading.local()
        self._size = -1
        self._tag: str | None = None

    def read(self, offset: int, size: int) -> bytes:
        parts = []
        while size:
            piece = min(size, _MOST_READ)
            part = self._get(offset, piece)
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
            if len(part) < piece:
                break
        return b"".join(parts)

    def size(self) -> int:
        if self._size < 0:
            self._get(0, 1)
        return self._size

    def close(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection:
            connection.close()
            self._local.connection = None

    def _get(self, offset: int, size: int) -> bytes:
        if 0 <= self._size <= offset:
            return b""
        for last in (False, True):
            kept = getattr(self._local, "connection", None) is not None
            try:
                return self._try(offset, size)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                # A connection that was kept may have been closed by the server meanwhile; a new one was not.
                if last or not kept:
                    raise LinkError(self.name, error or type(error).__name__) from None
        raise AssertionError

    def _try(self, offset: int, size: int) -> bytes:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        last = offset + size - 1
        headers = {"Range": f"bytes={offset}-{last}", "Accept-Encoding": "identity"}
        if self._tag:
            headers["If-Range"] = self._tag
        connection.request("GET", self._path or "/", headers=headers)
        answer = connection.getresponse()
        if answer.status == 416:
            answer.read(_MOST_READ)
            return b""
        if answer.status != 206:
            connection.close()
            self._local.connection = None
            if answer.status == 200:
                raise BadOverlayError(
                    self.name, "its server ignores ranges, or the file has changed meanwhile"
                )
            raise LinkError(self.name, f"the server answers {answer.status} {answer.reason}")
        first, end, total = _content_range(answer.getheader("Content-Range", ""))
        if first != offset or end > last or (self._size >= 0 and total != self._size):
            raise BadOverlayError(self.name, "its server sends another range than it was asked for")
        data = answer.read(end - first + 1)
        if len(data) != end - first + 1:
            raise LinkError(self.name, "the connection broke off")
        self._size = total
        tag = answer.getheader("ETag")
        if tag and not tag.startswith("W/"):
            self._tag = tag
        return data

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT)


def _content_range(text: str) -> tuple[int, int, int]:
    """First, last and all bytes out of ``bytes FIRST-LAST/ALL``; impossible numbers when it is none."""
    try:
        span, _, total = text.removeprefix("bytes ").partition("/")
        first, _, last = span.partition("-")
        return int(first), int(last), int(total)
    except ValueError:
        return -1, 1 << 62, -1
