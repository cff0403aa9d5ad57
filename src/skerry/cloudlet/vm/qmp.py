"""A client of QEMU's machine protocol (QMP): commands, their answers, and the events in between."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from skerry.cloudlet.errors import QemuError


def connect_unix(path: Path) -> socket.socket:
    """Connect to a socket however long its path: sockets themselves take 107 characters at most."""
    folder = os.open(path.parent, os.O_PATH)
    try:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(f"/proc/self/fd/{folder}/{path.name}")
        except OSError:
            sock.close()
            raise
        return sock
    finally:
        os.close(folder)


class Qmp:
    """One connection. Raises QemuError when QEMU refuses, hangs up, or does not answer in time."""

    def __init__(self, path: Path, deadline: float = 20.0) -> None:
        end = time.monotonic() + deadline
        while True:
            try:
                self._socket = connect_unix(path)
                break
            except OSError as error:
                if time.monotonic() > end:
                    raise QemuError("its control socket does not answer", error) from None
                time.sleep(0.005)
        self._buffer = b""
        self._lock = threading.RLock()  # two threads may ask at a time, and each gets its answer
        self.events: deque[dict[str, Any]] = deque()
        self._receive(deadline)
        self("qmp_capabilities")

    def __call__(self, command: str, timeout: float = 60.0, **arguments: Any) -> Any:
        """Run a command and return its result."""
        with self._lock:
            words = {name.replace("_", "-"): value for name, value in arguments.items()}
            request = {"execute": command, "arguments": words}
            try:
                self._socket.sendall(json.dumps(request).encode() + b"\n")
            except OSError as error:
                raise QemuError(command, error) from None
            end = time.monotonic() + timeout
            while True:
                message = self._receive(end - time.monotonic(), command)
                if "return" in message:
                    return message["return"]
                if "error" in message:
                    raise QemuError(command, message["error"]["desc"])

    def wait(self, name: str, timeout: float = 60.0, **data: Any) -> dict[str, Any]:
        """The next event with this name whose data has these values; earlier events are dropped."""
        with self._lock:
            end = time.monotonic() + timeout
            while True:
                while self.events:
                    event = self.events.popleft()
                    if event["event"] == name and data.items() <= event.get("data", {}).items():
                        return event
                self._receive(end - time.monotonic(), f"waiting for {name}")

    def close(self) -> None:
        self._socket.close()

    def _receive(self, timeout: float, what: str = "its greeting") -> dict[str, Any]:
        while b"\n" not in self._buffer:
            self._socket.settimeout(max(timeout, 0.001))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise QemuError(what, "no answer in time") from None
            except OSError as error:
                raise QemuError(what, error) from None
            if not data:
                raise QemuError(what, "it hung up")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if "event" in message:
            self.events.append(message)
        return message


def seconds(event: dict[str, Any]) -> float:
    """When QEMU reports that an event happened."""
    return float(event["timestamp"]["seconds"] + event["timestamp"]["microseconds"] / 1e6)
