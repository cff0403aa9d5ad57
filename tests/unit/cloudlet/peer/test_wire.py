"""Frames between engines: any bytes are a frame or an error."""

from __future__ import annotations

import json
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.samples.offers import IDS, offer

from skerry.cloudlet.errors import PeerRefusedError
from skerry.cloudlet.overlay.machine import Machine
from skerry.cloudlet.peer import wire
from skerry.cloudlet.peer.wire import BadFrameError, Kind, Offer, PeerConnection


def pair() -> tuple[PeerConnection, socket.socket]:
    one, other = socket.socketpair()
    return PeerConnection(one, "there"), other


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_an_error(data: bytes) -> None:
    link, other = pair()
    with other:
        other.sendall(data)
        other.shutdown(socket.SHUT_WR)
        try:
            while True:
                link.receive(Kind.OFFER, Kind.BATCH)
        except (BadFrameError, OSError, PeerRefusedError):
            pass
    link.close()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (wire._HEAD.pack(99, 0), "out of turn"),
        (wire._HEAD.pack(Kind.READY, 0), "out of turn"),
        (wire._HEAD.pack(Kind.OFFER, (1 << 16) + 1), "allowed"),
        (wire._HEAD.pack(Kind.BATCH, 0xFFFFFFFF), "allowed"),
    ],
)
def test_frames_out_of_turn_or_bounds_are_refused(data: bytes, why: str) -> None:
    link, other = pair()
    with other:
        other.sendall(data)
        with pytest.raises(BadFrameError, match=why):
            link.receive(Kind.OFFER, Kind.BATCH)
    link.close()


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../x"},
        {"name": ""},
        {"base": "x"},
        {"overlays": [IDS] * 10},
        {"overlays": [IDS + "\n"]},
        {"disk_pages": -1},
        {"disk_pages": True},
        {"disk_pages": 1 << 40},
        {"machine": {**Machine().to_json(), "cpu": "host,+x"}},
        {"machine": {}},
        {"generation": "auto,x=y"},
        {"card": {"mac": "52:54:00:00:00:01,x=y", "address": "10.0.2.15", "ports": [], "outbound": False}},
        {"card": {"mac": "52:54:00:00:00:01", "address": "10.0.2.2", "ports": [], "outbound": False}},
        {"card": {"mac": "52:54:00:00:00:01", "address": "10.0.2.15", "ports": [0], "outbound": False}},
        {"card": {"mac": "52:54:00:00:00:01", "address": "10.0.2.15", "ports": [1] * 65, "outbound": False}},
        {"format": 2},
        {"more": 1},
    ],
    ids=str,
)
def test_offers_that_are_none_are_refused(fields: dict[str, object]) -> None:
    good = json.loads(offer().model_dump_json())
    assert wire.read(Offer, json.dumps(good).encode()) == offer()
    with pytest.raises(BadFrameError):
        wire.read(Offer, json.dumps({**good, **fields}).encode())
