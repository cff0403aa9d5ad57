"""Speaking with the agent in a guest (guest/agent.sh): one line for each request, over a serial port."""

from __future__ import annotations

import base64
import itertools
import os
import secrets
import time
import uuid
from pathlib import Path

from skerry.cloudlet.errors import GuestError
from skerry.cloudlet.vm.qmp import connect_unix

MOST_ANSWER = 1 << 16
CLOCK_ERROR = 0.5  # seconds by which a clock that was just set may be behind
CLOCK_TRIES = 5


class Agent:
    """A connection to the agent. What it answers is the guest's word: it is bounded, and never executed."""

    _numbers = itertools.count(1)

    def __init__(self, path: Path) -> None:
        self._socket = connect_unix(path)
        self._data = b""

    def close(self) -> None:
        self._socket.close()

    def ready(self, timeout: float) -> None:
        """Wait until the agent of a booting guest speaks. Raises GuestError."""
        end = time.monotonic() + timeout
        while self._line(end, "the agent did not start") != "ready":
            pass

    def ask(self, verb: str, *words: str, timeout: float = 30.0) -> tuple[int, str]:
        """One request: its exit status, and what was printed. Raises GuestError when no answer comes."""
        number = f"{os.getpid()}-{next(self._numbers)}"
        self._socket.settimeout(timeout)
        try:
            self._socket.sendall(" ".join([verb, number, *words]).encode() + b"\n")
        except OSError as error:
            raise GuestError(f"'{verb}' was not taken", error) from None
        end = time.monotonic() + timeout
        while True:
            answer = self._line(end, f"'{verb}' was not answered").split(" ")
            if answer[:2] == ["done", number] and len(answer) >= 3 and answer[2].isdigit():
                text = base64.b64decode(answer[3]) if len(answer) > 3 else b""
                return int(answer[2]), text.decode(errors="replace")

    def run(self, script: str, timeout: float = 600.0) -> str:
        """Run a shell script as root. Raises GuestError with the end of its output when it fails."""
        words = base64.b64encode(script.encode()).decode()
        status, text = self.ask("run", words, timeout=timeout)
        if status:
            raise GuestError(
                f"the script ended with status {status}", text.strip()[-800:] or "it printed nothing"
            )
        return text

    def renew(self, name: str) -> None:
        """Give this copy of a guest a clock that is right, randomness, a host name and a machine id of its own."""
        asked = time.monotonic()
        self.ask("renew", f"{time.time():.3f}", secrets.token_hex(64), name, uuid.uuid4().hex)
        if time.monotonic() - asked > CLOCK_ERROR:  # the guest waited for its pages, or the host is busy
            self.set_clock()

    def set_clock(self, timeout: float = 30.0) -> None:
        """Set the guest's clock to the host's, again where the answer shows that it came late. Raises GuestError."""
        for _ in range(CLOCK_TRIES):
            asked = time.monotonic()
            self.run(f"date -s @{time.time():.3f}", timeout=timeout)
            if time.monotonic() - asked < CLOCK_ERROR:
                return

    def network(self, mac: str, address: str, gateway: str) -> None:
        """Wait for the card and give it its address (with prefix length). Raises GuestError."""
        status, _ = self.ask("network", mac, address, gateway)
        if status:
            raise GuestError(
                "the network card was not set up", f"no card with the address {mac} took {address}"
            )

    def _line(self, end: float, trouble: str) -> str:
        while b"\n" not in self._data:
            self._socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                part = self._socket.recv(65536)
            except TimeoutError:
                raise GuestError(trouble, "no word from the agent in time") from None
            if not part or len(self._data) > MOST_ANSWER:
                raise GuestError(trouble, "the guest is gone" if not part else "a line without an end")
            self._data += part
        line, _, self._data = self._data.partition(b"\n")
        return line.decode(errors="replace").strip()
