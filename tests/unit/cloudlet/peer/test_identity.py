"""Certificates of engines, and whom they believe."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from skerry.cloudlet.overlay.index import PARENT
from skerry.cloudlet.peer.identity import Identity
from skerry.cloudlet.peer.wire import Named
from skerry.common.errors import UsageError

IDS = "ab" * 32


def shaken(server: Identity, client: Identity) -> None:
    """A handshake of both, to the first byte."""
    one, other = socket.socketpair()
    trouble: list[Exception] = []

    def serve() -> None:
        try:
            with server.context(server=True).wrap_socket(one, server_side=True) as secure:
                server.known(secure)
                secure.sendall(b"x")
        except OSError as error:
            trouble.append(error)
            one.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.context(server=False).wrap_socket(other) as secure:
            client.known(secure)
            if secure.recv(1) != b"x":
                raise ssl.SSLError("refused")
    finally:
        other.close()
        thread.join(10)
    if trouble:
        raise trouble[0]


def test_engines_believe_those_that_they_are_paired_with(tmp_path: Path) -> None:
    one, two, three = (Identity(tmp_path / name) for name in ("one", "two", "three"))
    with pytest.raises(OSError):
        shaken(one, two)
    two.pair(one.certificate())
    with pytest.raises(OSError):
        shaken(one, two)
    assert one.pair(two.certificate()) == two.fingerprint
    shaken(one, two)
    with pytest.raises(OSError):
        shaken(one, three)
    # Any of several, in both directions.
    for other in (two, three):
        for each in (Identity(tmp_path / f"more{number}") for number in range(3)):
            other.pair(each.certificate())
            one.pair(each.certificate())
    three.pair(one.certificate())
    one.pair(three.certificate())
    for client in (two, three):
        shaken(one, client)
        shaken(client, one)
    assert (tmp_path / "one/tls.pem").stat().st_mode & 0o077 == 0
    one.part(two.fingerprint[:8])
    with pytest.raises(OSError):
        shaken(one, two)
    for text in ("", "no certificate", one.certificate()[:200], "x" * 100_000):
        with pytest.raises(UsageError):
            one.pair(text)
    assert PARENT == 4  # as in the format document
    assert Named(id=IDS).id == IDS
