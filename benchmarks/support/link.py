"""A link of a given rate: an HTTP server for a folder, behind one token bucket that all its connections share.

``link.py FOLDER MBIT`` prints its port on loopback and serves until its standard input ends. An answer begins
5 ms after its request.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DELAY = 0.005
CHUNK = 8192
BURST = 32768


class Bucket:
    """Lets ``rate`` bytes pass in a second, and no more than BURST at once."""

    def __init__(self, rate: float) -> None:
        self._rate, self._tokens, self._at = rate, float(BURST), time.monotonic()
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._tokens = min(BURST, self._tokens + (now - self._at) * self._rate) - size
            self._at = now
            wait = -self._tokens / self._rate
        if wait > 0:
            time.sleep(wait)


def serve(folder: Path, mbit: float) -> None:
    bucket = Bucket(mbit * 1e6 / 8)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            path = folder / Path(self.path).name
            if not path.is_file():
                self.send_error(404)
                return
            total = path.stat().st_size
            first, last = 0, total - 1
            span = self.headers.get("Range", "").removeprefix("bytes=")
            if span:
                one, _, other = span.partition("-")
                first, last = int(one), min(int(other or last), last)
            time.sleep(DELAY)
            self.send_response(206 if span else 200)
            if span:
                self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
            self.send_header("Content-Length", str(last - first + 1))
            self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
            self.end_headers()
            with path.open("rb") as file:
                left = last - first + 1
                file.seek(first)
                while left:
                    data = file.read(min(CHUNK, left))
                    bucket.take(len(data))
                    self.wfile.write(data)
                    left -= len(data)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), float(sys.argv[2]))
