"""The probe: checksums, and what counts as an answer."""

from __future__ import annotations

import socket
import struct

import pytest

from skerry.migration.measurement.probe import IP_RECVERR, checksum, is_answer


def test_the_internet_checksum() -> None:
    # RFC 1071, section 3: the sum of these bytes is ddf2, its complement 220d.
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D


@pytest.mark.parametrize(
    ("origin", "kind", "code", "answer"),
    [(2, 3, 3, True), (2, 3, 1, False), (1, 0, 0, False)],
    ids=["port unreachable", "host unreachable", "this machine's own"],
)
def test_only_the_guests_own_error_is_an_answer(origin: int, kind: int, code: int, answer: bool) -> None:
    about = struct.pack("=IBBBBII", 111, origin, kind, code, 0, 0, 0)
    assert is_answer([(socket.IPPROTO_IP, IP_RECVERR, about)]) is answer
