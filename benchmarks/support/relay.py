"""A link of a given rate in front of one address: TCP through one token bucket for each direction.

``relay.py HOST:PORT MBIT`` prints its port on loopback and carries until its standard input ends. What goes in
comes out 5 ms later, and no sooner than the rate allows.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import time

from benchmarks.support.link import CHUNK, DELAY, Bucket

UNDER_WAY = 64  # chunks that the link holds


def carry(source: socket.socket, target: socket.socket, bucket: Bucket) -> None:
    """One direction, to its end."""
    line: queue.Queue[tuple[float, bytes]] = queue.Queue(UNDER_WAY)

    def deliver() -> None:
        try:
            while True:
                at, data = line.get()
                time.sleep(max(0.0, at - time.monotonic()))
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
        except OSError:
            source.close()

    threading.Thread(target=deliver, daemon=True).start()
    data = b"-"
    while data:
        try:
            data = source.recv(CHUNK)
        except OSError:
            data = b""
        bucket.take(len(data))
        line.put((time.monotonic() + DELAY, data))


def serve(where: str, mbit: float) -> None:
    host, _, port = where.rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    # What waits in the host's buffers is on neither side of the link: little of it.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    buckets = Bucket(mbit * 1e6 / 8), Bucket(mbit * 1e6 / 8)
    while True:
        near, _ = listener.accept()
        far = socket.create_connection((host, int(port)))
        for one, other, bucket in ((near, far, buckets[0]), (far, near, buckets[1])):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=carry, args=(one, other, bucket), daemon=True).start()


if __name__ == "__main__":
    serve(sys.argv[1], float(sys.argv[2]))
