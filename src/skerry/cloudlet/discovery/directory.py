"""A directory of cloudlets: engines report every few seconds that they are there; whoever asks gets those that are.

HTTPS with the engines' own certificates on both sides: only paired ones may register, and ask.
``PUT /v1/cloudlets`` takes a cloudlet, ``GET /v1/cloudlets`` gives all. An entry belongs to the engine whose
certificate it came with; it lives as long as three heartbeats.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from skerry.cloudlet.discovery.discovery import Cloudlet
from skerry.cloudlet.errors import DirectoryError
from skerry.cloudlet.peer import wire
from skerry.cloudlet.peer.identity import Identity
from skerry.cloudlet.peer.wire import BadFrameError
from skerry.common.errors import PreflightError

PORT = 8021
HEARTBEAT = 15.0  # seconds
_LIVES = 3 * HEARTBEAT
_MOST, _MOST_BODY = 1024, 1 << 17
_MOST_ANSWER = _MOST * _MOST_BODY
_PATH = "/v1/cloudlets"
_ANYWHERE = ("0.0.0.0", "[::]")


class Entries:
    """The cloudlets that have registered. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._every: dict[str, tuple[float, Cloudlet]] = {}
        self._lock, self._clock = threading.Lock(), clock

    def put(self, cloudlet: Cloudlet) -> bool:
        """False when there is no room for one more."""
        with self._lock:
            self._sweep()
            if cloudlet.engine not in self._every and len(self._every) >= _MOST:
                return False
            self._every[cloudlet.engine] = (self._clock(), cloudlet)
            return True

    def all(self) -> list[Cloudlet]:
        with self._lock:
            self._sweep()
            return [cloudlet for _, cloudlet in self._every.values()]

    def _sweep(self) -> None:
        now = self._clock()
        self._every = {key: each for key, each in self._every.items() if now - each[0] <= _LIVES}


class Directory(ThreadingHTTPServer):
    """Listens on an address and a port (0: any free one). Raises PreflightError when it cannot."""

    daemon_threads = True

    def __init__(self, identity: Identity, address: str, port: int) -> None:
        self.identity, self.entries = identity, Entries()
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            super().__init__((address, port), BaseHTTPRequestHandler)  # see finish_request
        except OSError as error:
            raise PreflightError(
                f"Cannot listen on {address}, port {port}: {error.strerror}.", remedy="Give another --port."
            ) from None

    def finish_request(self, request: object, client_address: object) -> None:
        """In a thread of its own, the handshake too."""
        assert isinstance(request, socket.socket)
        request.settimeout(10)
        try:
            with self.identity.context(server=True).wrap_socket(request, server_side=True) as secure:
                peer = self.identity.known(secure)
                _Handler(secure, client_address, self, peer)
        except OSError:
            pass  # not one of the paired, or it broke off

    def handle_error(self, request: object, client_address: object) -> None:
        """What goes wrong with one caller is no one else's."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 10
    server: Directory

    def __init__(self, sock: ssl.SSLSocket, address: object, server: Directory, peer: str) -> None:
        self.peer = peer
        super().__init__(sock, address, server)

    def do_PUT(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != _PATH or not length.isdigit() or int(length) > _MOST_BODY:
            # What is under way is taken, within bounds, or it would reset the connection before the answer is read.
            self.rfile.read(min(int(length), 2 * _MOST_BODY) if length.isdigit() else 0)
            self._answer(400, {"error": f"PUT {_PATH} takes a cloudlet of at most {_MOST_BODY} bytes"})
            return
        try:
            told = wire.read(Cloudlet, self.rfile.read(int(length)))
        except BadFrameError as reason:
            self._answer(400, {"error": str(reason)})
            return
        host, _, port = told.where.rpartition(":")
        if host in _ANYWHERE:
            host = str(self.client_address[0])
            told = told.model_copy(update={"where": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"})
        if told.engine != self.peer:
            self._answer(403, {"error": "an engine registers itself, and no other"})
        elif self.server.entries.put(told):
            self._answer(200, {})
        else:
            self._answer(507, {"error": f"there are {_MOST} cloudlets already"})

    def do_GET(self) -> None:
        if self.path == _PATH:
            every = [json.loads(each.model_dump_json()) for each in self.server.entries.all()]
            self._answer(200, {"cloudlets": every})
        else:
            self._answer(404, {"error": f"there is {_PATH} and nothing else"})

    def log_message(self, format: str, *words: object) -> None:
        pass

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def register(identity: Identity, directory: str, cloudlet: Cloudlet) -> None:
    """Raises DirectoryError."""
    _ask(identity, directory, "PUT", cloudlet.model_dump_json().encode())


def ask(identity: Identity, directory: str) -> list[Cloudlet]:
    """All cloudlets that a directory knows; what is none is left out. Raises DirectoryError."""
    try:
        every = json.loads(_ask(identity, directory, "GET", b""))["cloudlets"]
        found = []
        for each in every[:_MOST]:
            with contextlib.suppress(BadFrameError):
                found.append(wire.read(Cloudlet, json.dumps(each).encode()))
        return found
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DirectoryError(directory, f"its answer is none ({error})") from None


def _ask(identity: Identity, directory: str, method: str, body: bytes) -> bytes:
    host, _, port = directory.rpartition(":") if ":" in directory else (directory, "", "")
    context = identity.context(server=False)
    number = int(port) if port.isdigit() else PORT
    connection = http.client.HTTPSConnection(host.strip("[]"), number, timeout=10, context=context)
    try:
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        identity.known(connection.sock)
        connection.request(method, _PATH, body or None)
        answer = connection.getresponse()
        data = answer.read(_MOST_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        words = getattr(error, "verify_message", "") or error or type(error).__name__
        raise DirectoryError(directory, words) from None
    finally:
        connection.close()
    if answer.status != 200:
        raise DirectoryError(directory, f"{answer.status}: {data[:300].decode(errors='replace')}")
    return data


class Heartbeat:
    """Registers an engine again and again, until it is closed. What goes wrong is said once, until it changes."""

    def __init__(self, beat: Callable[[], None], report: Callable[[str], None]) -> None:
        self._beat, self._report, self._end = beat, report, threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join(15)

    def _work(self) -> None:
        last = ""
        while True:
            try:
                self._beat()
                now = ""
            except Exception as error:  # the engine serves on
                now = str(error)
            if now and now != last:
                self._report(now)
            last = now
            if self._end.wait(HEARTBEAT):
                return
