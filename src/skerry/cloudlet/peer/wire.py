"""What two engines send to each other: frames over TLS, each of a known kind and of a bounded length.

A frame is one byte of kind, four of length (little-endian), and a body. docs/cloudlet/handoff.md describes all.
"""

from __future__ import annotations

import socket
import struct
import time
from enum import IntEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from skerry.cloudlet.errors import HandoffError, PeerRefusedError
from skerry.cloudlet.overlay.index import MOST_PARENTS
from skerry.cloudlet.overlay.machine import Machine
from skerry.cloudlet.overlay.manifest import MOST_DISK_PAGES, MOST_STATE
from skerry.cloudlet.peer.identity import Identity

PORT = 8022
TIMEOUT = 30.0  # seconds without a word
_HEAD = struct.Struct("<BI")
_WAITED = 0.002  # seconds


class Kind(IntEnum):
    """From the source: OFFER, BEGIN, BATCH, FINAL, COMMIT, STATUS, ASK. From the destination: the others."""

    OFFER = 1
    ACCEPT = 2
    BEGIN = 3
    BATCH = 4
    SEEN = 5
    FINAL = 6
    READY = 7
    COMMIT = 8
    RUNNING = 9
    REFUSE = 10
    STATUS = 11
    ASK = 12
    CLOUDLET = 13


MOST = {kind: 1 << 16 for kind in Kind} | {
    Kind.BATCH: 1 << 25,
    Kind.FINAL: MOST_STATE,
    Kind.ASK: 0,
    Kind.CLOUDLET: 1 << 17,
}

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Card(Message):
    """The guest's network card: it comes along, with the addresses that the guest knows."""

    mac: Annotated[str, Field(pattern=r"^52:54:00(:[0-9a-f]{2}){3}$")]
    address: Annotated[str, Field(pattern=r"^10\.0\.2\.(1[5-9]|[2-9]\d|1\d\d|2[0-4]\d|25[0-4])$")]
    ports: Annotated[list[Port], Field(max_length=64)]
    outbound: bool


class Offer(Message):
    """What is to be handed over. ``overlays`` are those that the VM was made of, each on the one before."""

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    base: Id
    overlays: Annotated[list[Id], Field(max_length=MOST_PARENTS + 1)]
    machine: dict[str, Any]
    disk_pages: Annotated[int, Field(ge=0, le=MOST_DISK_PAGES)]
    generation: Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    card: Card | None

    @field_validator("machine")
    @classmethod
    def _machine(cls, value: dict[str, Any]) -> dict[str, Any]:
        return Machine.from_json(value).to_json()


class Accept(Message):
    """``held`` is how many of the offered overlays, from the first one on, are there."""

    id: Id
    held: Annotated[int, Field(ge=0, le=MOST_PARENTS + 1)]


class Begin(Message):
    """The one-time id, and of QEMU's stream the number of its section and its head in hexadecimal digits."""

    id: Id
    section: Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
    head: Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$", max_length=16384)]


class Named(Message):
    """A question about, or the word that ends, the handoff with this id."""

    id: Id


class Seen(Message):
    """A batch was taken; ``microseconds`` is how long the link needed for it."""

    microseconds: Annotated[int, Field(ge=1, le=1 << 40)]


class Refusal(Message):
    reason: Annotated[str, Field(max_length=1000)]


Some = TypeVar("Some", bound=Message)


class BadFrameError(ValueError):
    """What came is not what the protocol allows."""


class PeerConnection:
    """One connection between two engines; not to be used by two threads at once."""

    def __init__(self, sock: socket.socket, name: str, peer: str = "") -> None:
        """``peer`` is the fingerprint of whom the other side has proven to be."""
        self._socket, self.name, self.peer = sock, name, peer
        self.sent = 0
        self.took = 0.0  # seconds that the last frame was on its way, as far as this side can see
        self._last = time.monotonic()

    def send(self, kind: Kind, body: bytes | Message = b"") -> None:
        """Raises OSError."""
        data = body if isinstance(body, bytes) else body.model_dump_json().encode()
        self._socket.settimeout(TIMEOUT)
        self._socket.sendall(_HEAD.pack(kind, len(data)) + data)
        self.sent += _HEAD.size + len(data)

    def receive(self, *kinds: Kind, timeout: float = TIMEOUT) -> tuple[Kind, bytes]:
        """The next frame. Raises OSError, BadFrameError, and PeerRefusedError when the other side refuses."""
        self._socket.settimeout(timeout)
        asked = time.monotonic()
        number, length = _HEAD.unpack(self._take(_HEAD.size))
        started = time.monotonic()
        if number not in (*kinds, Kind.REFUSE):
            raise BadFrameError(f"a frame of kind {number} came out of turn")
        kind = Kind(number)
        if length > MOST[kind]:
            raise BadFrameError(f"a frame of kind {kind.name} has {length} bytes, {MOST[kind]} are allowed")
        body = self._take(length)
        # What came before it was waited for has lain in buffers: then all since the last frame counts.
        now = time.monotonic()
        self.took = now - (started if started - asked > _WAITED else self._last)
        self._last = now
        if kind is Kind.REFUSE:
            raise PeerRefusedError(self.name, read(Refusal, body).reason)
        return kind, body

    def idle(self) -> None:
        """What this side did until now was its own affair, and no measure of the link."""
        self._last = time.monotonic()

    def refuse(self, reason: object) -> None:
        """Send the reason of a refusal, and let the other side read it before the connection goes."""
        try:
            self.send(Kind.REFUSE, Refusal(reason=str(reason)[:1000]))
            self._socket.settimeout(1)
            for _ in range(1024):  # what is under way is taken, or it would reset the connection
                if not self._socket.recv(1 << 16):
                    break
        except OSError:
            pass

    def close(self) -> None:
        self._socket.close()

    def _take(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._socket.recv(min(size - len(data), 1 << 18))
            if not part:
                raise ConnectionResetError("the connection ended")
            data += part
        return bytes(data)


def read(message: type[Some], body: bytes) -> Some:
    """A message out of untrusted bytes. Raises BadFrameError with the reason."""
    try:
        return message.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadFrameError(f"{message.__name__.lower()}: {where}: {first['msg']}") from None


def connect(identity: Identity, where: str, *, timeout: float = 10.0) -> PeerConnection:
    """A connection to the engine at ``HOST`` or ``HOST:PORT``; ``timeout`` is in seconds. Raises HandoffError."""
    host, _, port = where.rpartition(":") if ":" in where else (where, "", "")
    try:
        plain = socket.create_connection((host.strip("[]"), int(port) if port.isdigit() else PORT), timeout)
    except OSError as error:
        raise HandoffError(
            where, f"it does not answer ({error}); does 'skerry cloudlet serve' run there?"
        ) from None
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        secure = identity.context(server=False).wrap_socket(plain)
        peer = identity.known(secure)
    except OSError as error:
        plain.close()
        words = getattr(error, "verify_message", "") or getattr(error, "reason", "") or error
        raise HandoffError(where, f"it is not an engine that this one is paired with ({words})") from None
    return PeerConnection(secure, where, peer)
