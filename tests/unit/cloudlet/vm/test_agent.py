"""Setting a guest's clock, which takes a guest that is slow to answer several requests."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.cloudlet.vm import agent as module
from skerry.cloudlet.vm.agent import Agent


class SlowGuest:
    """Answers each request, the first ones late; ``behind`` is how late the last clock that it was given came."""

    def __init__(self, path: Path, delays: list[float]) -> None:
        self.behind, self.requests = 0.0, 0
        self._delays = delays
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        link, _ = self._server.accept()
        for line in link.makefile():
            verb, number, *words = line.split()
            given = base64.b64decode(words[0]).decode().split("@")[1] if verb == "run" else words[0]
            time.sleep(self._delays[self.requests] if self.requests < len(self._delays) else 0)
            self.requests += 1
            self.behind = time.time() - float(given)
            link.sendall(f"done {number} 0\n".encode())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "CLOCK_ERROR", 0.1)
    yield


@pytest.mark.parametrize(("delays", "requests"), [([], 1), ([0.3, 0.3], 3)], ids=["at once", "late"])
def test_a_copy_has_the_right_clock_however_late_its_guest_answers(
    tmp_path: Path, delays: list[float], requests: int
) -> None:
    guest = SlowGuest(tmp_path / "agent", delays)
    agent = Agent(tmp_path / "agent")
    agent.renew("copy")
    agent.close()
    assert guest.requests >= requests
    assert guest.behind < 0.2 or guest.requests == 1 + module.CLOCK_TRIES


def test_a_guest_that_is_always_slow_is_not_asked_for_ever(tmp_path: Path) -> None:
    guest = SlowGuest(tmp_path / "agent", [0.15] * 20)
    agent = Agent(tmp_path / "agent")
    agent.set_clock()
    agent.close()
    assert guest.requests == module.CLOCK_TRIES
