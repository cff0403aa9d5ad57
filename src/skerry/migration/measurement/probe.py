"""A probe that asks a server for answers at a fixed beat, and writes down when, how late, and what came back.

Sending never waits for anything: a probe that stalls (on ARP, on a full socket) would see no downtime. How late each
request left is part of the result, so that runs in which the prober itself was held up can be recognised and thrown away.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from skerry.common.errors import PreflightError
from skerry.common.namespaces import entered
from skerry.migration.errors import ProbeError

ECHO_REQUEST, ECHO_REPLY = 8, 0  # RFC 792
UDP_PORT = 33434  # the first of traceroute's: nothing listens there
IP_RECVERR = 11  # ip(7)
PORT_UNREACHABLE = bytes((2, 3, 3))  # of a sock_extended_err: its origin ICMP, ICMP's type and code
FATAL = {errno.EBADF, errno.EFAULT, errno.EINVAL, errno.EPERM, errno.EACCES, errno.EMSGSIZE}
TIMEOUT = 20.0  # seconds for which a reply may be on its way and still be noticed by 'answers'
LINGER = 1.0  # seconds in which late replies are still taken
PRIORITY = 10  # of the real-time class SCHED_RR: the prober wakes for less than 1 % of the time


@dataclass
class Trace:
    """What was sent and what came back; times in seconds of the monotonic clock.

    ``planned`` and ``sent`` have one entry for each request, ``received`` the time of the first reply to it, or None.
    """

    interval: float
    planned: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    received: list[float | None] = field(default_factory=list)

    def answers(self, within: float) -> bool:
        """Whether a reply came within the last ``within`` seconds."""
        since = time.monotonic() - within
        recent = self.received[-int(TIMEOUT / self.interval) :]
        return any(back is not None and back > since for back in recent)

    def answer(self, number: int, now: float) -> None:
        """A reply to request ``number``; only the first one counts."""
        if number < len(self.received) and self.received[number] is None:
            self.received[number] = now


class EchoProbe:
    """Requests to ``address`` each ``interval`` seconds by ICMP and by UDP, as a context manager.

    ICMP asks for an echo. UDP goes to a port on which nothing listens, as traceroute's does: the guest's own kernel
    answers 'port unreachable', so that the guest needs no program for it. Both carry number and time of sending.
    ``trace`` and ``udp`` are what was seen; ``udp`` has no reply where a firewall lets UDP not in.

    ``namespace`` is the file of the network to send from, None for this thread's own.
    Raises PreflightError when raw sockets are not allowed; at its end ProbeError when nothing could be sent any more.
    """

    def __init__(self, address: str, interval: float = 0.01, namespace: Path | None = None) -> None:
        self.address, self.trace, self.udp = address, Trace(interval), Trace(interval)
        self._mark = os.getpid() & 0xFFFF
        self._over = threading.Event()
        self._failure: OSError | None = None
        with entered(namespace) if namespace else nullcontext():
            try:
                self._icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            except PermissionError:
                raise PreflightError(
                    "Probing by ICMP needs a raw socket.", remedy="Run this as root."
                ) from None
            self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._datagrams.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            self._datagrams.connect((address, UDP_PORT))
        self._sockets = (self._icmp, self._datagrams)
        for one in self._sockets:
            one.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)

    def __enter__(self) -> EchoProbe:
        self._thread.start()
        return self

    def check(self) -> None:
        """Raise ProbeError when it does not probe any more."""
        if self._failure is not None:
            raise ProbeError(self.address, self._failure)

    def __exit__(self, kind: object, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for one in self._sockets:
            one.close()
        if kind is None:  # else it would hide the error that is on its way
            self.check()

    def _run(self) -> None:
        try:
            self._probe()
        except OSError as error:
            self._failure = error

    def _probe(self) -> None:
        with suppress(OSError):  # without the right to it the probe is late more often, and its report has it
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
        started = time.monotonic()
        while not self._over.is_set():
            planned = started + len(self.trace.planned) * self.trace.interval
            self._take_until(planned)
            self._send(planned)
        self._take_until(time.monotonic() + LINGER)

    def _take_until(self, deadline: float) -> None:
        while (left := deadline - time.monotonic()) > 0:
            if select.select(self._sockets, [], [], left)[0]:
                self._take_echoes()
                self._take_errors()

    def _send(self, planned: float) -> None:
        def echo(body: bytes, number: int) -> None:
            # The whole number is in the payload: that of the header has 16 bits only.
            head = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, self._mark, number & 0xFFFF)
            packet = head[:2] + struct.pack("!H", checksum(head + body)) + head[4:] + body
            self._icmp.sendto(packet, (self.address, 0))

        def datagram(body: bytes, number: int) -> None:
            self._datagrams.send(body)

        ways: tuple[tuple[Trace, Callable[[bytes, int], None]], ...] = (
            (self.trace, echo),
            (self.udp, datagram),
        )
        for trace, send in ways:
            number, now = len(trace.sent), time.monotonic()
            trace.planned.append(planned)
            trace.sent.append(now)
            trace.received.append(None)
            for _ in range(
                2
            ):  # the answer to an earlier datagram is an error, which the next call reports in its place
                try:
                    send(struct.pack("!Qd", number, now), number)
                    break
                except OSError as error:
                    if error.errno in FATAL:
                        raise

    def _take_echoes(self) -> None:
        while True:
            try:
                packet = self._icmp.recv(2048)
            except BlockingIOError:
                return
            now = time.monotonic()
            start = (packet[0] & 0x0F) * 4
            if len(packet) < start + 24 or packet[start] != ECHO_REPLY:
                continue
            (mark,) = struct.unpack_from("!H", packet, start + 4)
            (number,) = struct.unpack_from("!Q", packet, start + 8)
            if mark == self._mark:
                self.trace.answer(number, now)

    def _take_errors(self) -> None:
        while True:
            try:
                # ip(7): what comes back with an error is the payload of the datagram that caused it.
                body, about, _, _ = self._datagrams.recvmsg(64, 512, socket.MSG_ERRQUEUE)
            except OSError:  # most often that there is none left
                return
            if len(body) >= 8 and is_answer(about):
                self.udp.answer(struct.unpack_from("!Q", body)[0], time.monotonic())


def is_answer(about: list[tuple[int, int, bytes]]) -> bool:
    """Whether by the ancillary data of an error the guest itself has answered.

    'Host unreachable' comes from a gateway, or from this machine's own kernel when nobody answers its ARP.
    """
    return any(
        (level, kind) == (socket.IPPROTO_IP, IP_RECVERR) and data[4:7] == PORT_UNREACHABLE
        for level, kind, data in about
    )


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
