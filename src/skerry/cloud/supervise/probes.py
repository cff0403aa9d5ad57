"""Readiness as a fact: a probe asks the service itself, or the kernel about it, and reports what is missing."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from skerry.common import log
from skerry.common.unix_http import UnixHTTPConnection


class Probe(ABC):
    """Asks one question that is answered within a few seconds."""

    @abstractmethod
    def missing(self, pid: int) -> str | None:
        """What the service (process ``pid``) is still missing, in words; None when it is ready."""


@dataclass(frozen=True)
class TcpProbe(Probe):
    """Something accepts connections, and (with ``greeting``) speaks first."""

    port: int
    host: str = "127.0.0.1"
    greeting: bool = False

    def missing(self, pid: int) -> str | None:
        try:
            with socket.create_connection((self.host, self.port), timeout=2) as connection:
                if self.greeting and not connection.recv(1):
                    return f"port {self.port} closes the connection"
        except OSError as error:
            return f"port {self.port} does not answer ({error.strerror or error})"
        return None


@dataclass(frozen=True)
class AmqpProbe(Probe):
    """A broker answers the AMQP 0-9-1 protocol header with a Connection.Start frame (specification, 2.2.4)."""

    port: int
    host: str = "127.0.0.1"

    def missing(self, pid: int) -> str | None:
        try:
            with socket.create_connection((self.host, self.port), timeout=2) as connection:
                connection.settimeout(3)
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                answer = connection.recv(1)
        except OSError as error:
            return f"the broker on port {self.port} does not answer ({error.strerror or error})"
        return None if answer == b"\x01" else f"port {self.port} does not speak AMQP 0-9-1"


@dataclass(frozen=True)
class UnixProbe(Probe):
    """A unix socket accepts connections."""

    path: Path

    def missing(self, pid: int) -> str | None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            try:
                connection.connect(str(self.path))
            except OSError as error:
                return f"socket {self.path} does not answer ({error.strerror or error})"
        return None


@dataclass(frozen=True)
class ListeningProbe(Probe):
    """The kernel has a listening unix socket of this name: for servers that log an error for each empty visit."""

    path: Path

    def missing(self, pid: int) -> str | None:
        accepts = "00010000"  # __SO_ACCEPTCON in the flags column of /proc/net/unix
        for line in Path("/proc/net/unix").read_text().splitlines():
            words = line.split()
            if words[-1] == str(self.path) and words[3] == accepts:
                return None
        return f"nothing listens on socket {self.path}"


@dataclass(frozen=True)
class HttpProbe(Probe):
    """An HTTP request to a unix socket or a port is answered by anything but a server error."""

    socket: Path | None = None
    port: int = 0
    path: str = "/"

    def missing(self, pid: int) -> str | None:
        connection: http.client.HTTPConnection = (
            UnixHTTPConnection(self.socket, timeout=10)
            if self.socket
            else http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        )
        try:
            connection.request("GET", self.path, headers={"Accept": "application/json"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"no answer on {self.socket or self.port} ({getattr(error, 'strerror', None) or error!r})"
        finally:
            connection.close()
        return None if status < 500 else f"GET {self.path} answers {status}"


@dataclass(frozen=True)
class ConnectedProbe(Probe):
    """The process, or one of its children, has a connection to each of these TCP ports (broker, database)."""

    ports: tuple[int, ...]

    def missing(self, pid: int) -> str | None:
        try:
            process = psutil.Process(pid)
            remote = _connected(process)
            children = process.children(recursive=True)
        except psutil.NoSuchProcess:
            return "the process is gone"
        for child in children:
            with suppress(psutil.NoSuchProcess):  # a command that it ran, and that has ended meanwhile
                remote |= _connected(child)
        absent = [str(port) for port in self.ports if port not in remote]
        return f"not connected to port {' and '.join(absent)} yet" if absent else None


def _connected(process: psutil.Process) -> set[int]:
    """The remote ports of its TCP connections."""
    return {
        peer.raddr.port
        for peer in process.net_connections("tcp")
        if peer.raddr and peer.status == psutil.CONN_ESTABLISHED
    }


@dataclass(frozen=True)
class ConnectedSocketProbe(Probe):
    """The process, or one of its children, has a connection to the unix socket of this name."""

    path: Path

    def missing(self, pid: int) -> str | None:
        argv = ["ss", "-xH"]
        try:
            with log.command(argv) as running:
                done = subprocess.run(argv, capture_output=True, text=True, timeout=10)
                running.ended(done.returncode, done.stderr)
            process = psutil.Process(pid)
            mine = [process.pid, *(child.pid for child in process.children(recursive=True))]
        except subprocess.TimeoutExpired:
            return "'ss' does not answer"
        except psutil.NoSuchProcess:
            return "the process is gone"
        peers = clients_of(done.stdout, self.path)
        if any(peers & _sockets(number) for number in mine):
            return None
        return f"not connected to {self.path} yet"


def clients_of(listed: str, path: Path) -> set[str]:
    """The inodes of the sockets that are connected to the server at ``path``, from what 'ss -x' lists (ss(8)).

    HAProxy binds a socket as PATH.PID.tmp and renames it; the kernel keeps showing the first name.
    """
    rows = (line.split() for line in listed.splitlines())
    at = re.compile(re.escape(str(path)) + r"(\.\d+\.tmp)?")
    return {row[-1] for row in rows if len(row) >= 8 and row[1] == "ESTAB" and at.fullmatch(row[4])}


def _sockets(pid: int) -> set[str]:
    """The inodes of the sockets that a process has open."""
    found = set()
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # it was closed meanwhile
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    found.add(target[len("socket:[") : -1])
    return found


@dataclass(frozen=True)
class WorkersProbe(Probe):
    """The process has forked its workers: they do so when all of the service has been set up."""

    workers: int = 1

    def missing(self, pid: int) -> str | None:
        try:
            have = len(psutil.Process(pid).children())
        except psutil.NoSuchProcess:
            return "the process is gone"
        return None if have >= self.workers else f"{have} of {self.workers} workers run"


@dataclass(frozen=True)
class CommandProbe(Probe):
    """A program ends with status 0 (and prints ``expect``, when given)."""

    argv: tuple[str, ...]
    expect: str = ""

    def missing(self, pid: int) -> str | None:
        try:
            with log.command(self.argv) as running:
                done = subprocess.run(
                    self.argv, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL
                )
                running.ended(done.returncode, done.stderr)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"'{self.argv[0]}' does not answer ({type(error).__name__})"
        if done.returncode:
            return (
                (done.stderr or done.stdout).strip().splitlines()[-1:][0]
                if done.stderr or done.stdout
                else "failed"
            )
        if self.expect not in done.stdout:
            return f"'{self.argv[0]}' prints '{done.stdout.strip()[:60]}', not '{self.expect}'"
        return None


@dataclass(frozen=True)
class AllOf(Probe):
    """Every one of several probes is content."""

    probes: tuple[Probe, ...]

    def missing(self, pid: int) -> str | None:
        return next((missing for probe in self.probes if (missing := probe.missing(pid))), None)
