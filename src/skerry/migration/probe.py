"""A probe that asks a server for an echo at a fixed beat, and writes down when, how late, and what came back.

Sending never waits for anything: a probe that stalls (on ARP, on a full socket) would see no downtime. How late each
request left is part of the result, so that runs in which the prober itself was held up can be told and thrown away.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from skerry.common.errors import PreflightError

ECHO_REQUEST, ECHO_REPLY = 8, 0  # RFC 792


@dataclass
class Trace:
    """What was sent and what came back; times in seconds of the monotonic clock.

    ``planned`` and ``sent`` have one entry for each request, ``received`` the time of the first reply to it, or None.
    """

    interval: float
    planned: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    received: list[float | None] = field(default_factory=list)


class Probe:
    """Echo requests (ICMP) to ``address`` each ``interval`` seconds, as a context manager.

    Raises PreflightError when raw sockets are not allowed.
    """

    def __init__(self, address: str, interval: float = 0.01) -> None:
        self.address, self.trace = address, Trace(interval)
        self._mark = os.getpid() & 0xFFFF
        self._over = threading.Event()
        try:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        except PermissionError:
            raise PreflightError("Probing by ICMP needs a raw socket.", remedy="Run this as root.") from None
        self._socket.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        trace, begun = self.trace, time.monotonic()
        while not self._over.is_set():
            planned = begun + len(trace.planned) * trace.interval
            while (left := planned - time.monotonic()) > 0:
                if select.select([self._socket], [], [], left)[0]:
                    self._take()
            self._send(planned)
            self._take()
        deadline = time.monotonic() + 1.0  # replies that are still on their way
        while time.monotonic() < deadline:
            if select.select([self._socket], [], [], 0.05)[0]:
                self._take()

    def _send(self, planned: float) -> None:
        number = len(self.trace.sent)
        # The whole number is in the payload: that of the header has 16 bits only.
        body = struct.pack("!Q", number)
        head = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, self._mark, number & 0xFFFF)
        packet = head[:2] + struct.pack("!H", checksum(head + body)) + head[4:] + body
        self.trace.planned.append(planned)
        self.trace.sent.append(time.monotonic())
        self.trace.received.append(None)
        try:
            self._socket.sendto(packet, (self.address, 0))
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ENOBUFS, errno.EHOSTUNREACH, errno.ENETUNREACH):
                raise

    def _take(self) -> None:
        while True:
            try:
                packet = self._socket.recv(2048)
            except BlockingIOError:
                return
            now = time.monotonic()
            start = (packet[0] & 0x0F) * 4
            if len(packet) < start + 16 or packet[start] != ECHO_REPLY:
                continue
            (mark,) = struct.unpack_from("!H", packet, start + 4)
            (number,) = struct.unpack_from("!Q", packet, start + 8)
            if (
                mark == self._mark
                and number < len(self.trace.received)
                and self.trace.received[number] is None
            ):
                self.trace.received[number] = now


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
