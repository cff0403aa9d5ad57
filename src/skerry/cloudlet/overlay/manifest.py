"""The head of an overlay file: magic, manifest, signature. Everything that follows is named in it by hash."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from dataclasses import asdict, dataclass, field
from typing import Any

from skerry.cloudlet.overlay.index import MOST_PARENTS
from skerry.cloudlet.overlay.keys import KEY, SIGNATURE, fingerprint
from skerry.cloudlet.overlay.machine import Machine

MAGIC = b"SKRYOVL1"
FORMAT = 3
MOST_MANIFEST = 1 << 16
MOST_INDEX = 1 << 28
MOST_STATE = 1 << 28
MOST_DISK_PAGES = 1 << 31  # 8 TiB
HEAD = struct.Struct("<8sI")

_ID = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Blob:
    """A compressed part: bytes as stored, bytes unpacked, SHA-256 of the former in hexadecimal digits."""

    size: int
    raw: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an overlay is, on what, and what its parts must be. ``segments`` is the bytes of all segments.

    Since format 2 the state is compressed with the base's state as its dictionary, and segments may have dictionaries;
    since format 3 they may be packed by LZMA.
    """

    name: str
    base: str
    machine: Machine
    disk_pages: int
    index: Blob
    state: Blob
    segments: int
    signer: str
    created: str
    parents: tuple[str, ...] = field(default=())
    format: int = FORMAT

    def pack(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @property
    def id(self) -> str:
        """The overlay's id: the SHA-256 of its manifest."""
        return hashlib.sha256(self.pack()).hexdigest()

    def about(self) -> dict[str, Any]:
        """What a user is shown of it."""
        return {
            "name": self.name,
            "id": self.id,
            "base": self.base,
            "parents": list(self.parents),
            "bytes": self.size,
            "signer": fingerprint(bytes.fromhex(self.signer)),
            "created": self.created,
        }

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        head = HEAD.size + len(self.pack()) + SIGNATURE
        return head + self.index.size + self.state.size + self.segments


def good_name(name: object) -> bool:
    return isinstance(name, str) and bool(_NAME.fullmatch(name))


def good_id(text: object) -> bool:
    return isinstance(text, str) and bool(_ID.fullmatch(text))


def unpack(data: bytes) -> Manifest:
    """Read a manifest from untrusted bytes. Raises ValueError with the reason."""
    try:
        read = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("the manifest is not JSON") from None
    if not isinstance(read, dict) or read.get("format") not in range(1, FORMAT + 1):
        raise ValueError(f"the manifest is of another format than 1 to {FORMAT}")
    if set(read) != set(Manifest.__dataclass_fields__):
        raise ValueError("the manifest has other fields than its format has")
    machine = Machine.from_json(read.pop("machine"))
    index = _blob("index", read.pop("index"), MOST_INDEX)
    state = _blob("state", read.pop("state"), MOST_STATE)
    parents = read.pop("parents")
    if not isinstance(parents, list) or len(parents) > MOST_PARENTS or not all(map(good_id, parents)):
        raise ValueError(f"its parents are not a list of at most {MOST_PARENTS} ids")
    if not good_name(read["name"]):
        raise ValueError(
            "its name has other characters than letters, digits, dot, dash, or more than 63 of them"
        )
    if not good_id(read["base"]) or not good_id(read["signer"]):
        raise ValueError("the id of its base or its signer is not 64 hexadecimal digits")
    if not isinstance(read["created"], str) or len(read["created"]) > 40:
        raise ValueError("its time of creation is not a time")
    _number("disk_pages", read["disk_pages"], MOST_DISK_PAGES)
    _number("segments", read["segments"], 1 << 46)
    manifest = Manifest(**read, machine=machine, index=index, state=state, parents=tuple(parents))
    if manifest.pack() != data:
        raise ValueError("the manifest is not in its canonical form")
    return manifest


def signer(manifest: Manifest) -> bytes:
    public = bytes.fromhex(manifest.signer)
    assert len(public) == KEY
    return public


def message(manifest: bytes) -> bytes:
    """What is signed."""
    return MAGIC + hashlib.sha256(manifest).digest()


def _blob(what: str, data: Any, most: int) -> Blob:
    if not isinstance(data, dict) or set(data) != {"size", "raw", "sha256"} or not good_id(data["sha256"]):
        raise ValueError(f"the description of its {what} has other fields than size, raw and sha256")
    _number(f"size of the {what}", data["size"], most)
    _number(f"raw size of the {what}", data["raw"], most)
    return Blob(**data)


def _number(what: str, value: Any, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{what} is not a number between 0 and {most}")
