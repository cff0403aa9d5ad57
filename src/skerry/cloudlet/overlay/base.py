"""A base VM: a paused machine's disk, memory and device state, named by what they hold.

manifest.json     what follows, by hash; its own SHA-256 is the base's id. ``name`` is in a file of its own
disk, memory      raw, with holes; pages of zeros are not listed
disk.pages, memory.pages   page number and SHA-256 of each page that is not zero (skerry.cloudlet.overlay.pages.LISTED)
state             the devices (skerry.cloudlet.vm.stream), compressed
kernel, initrd    where the guest boots with a kernel from outside of its disk
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.cloudlet.errors import BadBaseError
from skerry.cloudlet.overlay.machine import Machine
from skerry.cloudlet.overlay.manifest import MOST_DISK_PAGES, MOST_STATE, good_id, good_name
from skerry.cloudlet.overlay.pages import LISTED, PAGE, Digests, Finder, Pages, listing, open_pages
from skerry.cloudlet.overlay.segments import compress, decompress

PARTS = ("state", "kernel", "initrd")  # hashed whole
IMAGES = ("disk", "memory")  # hashed page by page


class Base:
    """A base in a folder. Its manifest is read at once, the rest when it is asked for.

    Raises BadBaseError when the manifest is not one, or is not that of the folder's id.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            text = (folder / "manifest.json").read_bytes()
            self.manifest: dict[str, Any] = _checked(json.loads(text))
            self.machine = Machine.from_json(self.manifest["machine"])
            self.name = (folder / "name").read_text().strip()
            if not good_name(self.name):
                raise ValueError("its name is not one")
        except (OSError, ValueError, RecursionError) as reason:
            raise BadBaseError(folder.name, reason) from None
        self.id = hashlib.sha256(pack_manifest(self.manifest)).hexdigest()
        if good_id(folder.name) and folder.name != self.id:
            raise BadBaseError(folder.name, f"its manifest is that of {self.id}")

    def path(self, part: str) -> Path:
        return self.folder / part

    @property
    def disk_pages(self) -> int:
        return int(self.manifest["disk_pages"])

    @property
    def append(self) -> str:
        return str(self.manifest["append"])

    def has(self, part: str) -> bool:
        return part in self.manifest["parts"]

    @cached_property
    def disk(self) -> Pages:
        return open_pages(self.folder / "disk")

    @cached_property
    def memory(self) -> Pages:
        return open_pages(self.folder / "memory")

    @cached_property
    def state(self) -> bytes:
        blob = (self.folder / "state").read_bytes()
        if hashlib.sha256(blob).hexdigest() != self.manifest["parts"]["state"]:
            raise BadBaseError(self.name, "its device state has another hash than its manifest states")
        try:
            return decompress(blob, self.manifest["state_size"])
        except ValueError as reason:
            raise BadBaseError(self.name, reason) from None

    def listed(self, image: str) -> NDArray[np.void]:
        return np.fromfile(self.folder / f"{image}.pages", LISTED)

    def finder(self, image: str) -> Finder:
        listed = self.listed(image)
        content: Digests = np.ascontiguousarray(listed["digest"])
        return Finder(np.ascontiguousarray(listed["page"]), content)

    def size(self) -> int:
        """Bytes that it takes on the disk."""
        return sum(path.stat().st_blocks * 512 for path in self.folder.iterdir())

    def about(self) -> dict[str, Any]:
        """What a user is shown of it; sizes in MiB."""
        disk, stored = self.disk_pages * PAGE >> 20, self.size() >> 20
        machine = self.machine.to_json()
        return {"name": self.name, "id": self.id, **machine, "disk_mib": disk, "stored_mib": stored}

    def verify(self) -> None:
        """Read all of it and compare with the manifest. Raises BadBaseError with the first difference."""
        for part, digest in self.manifest["parts"].items():
            if _file_digest(self.folder / part) != digest:
                raise BadBaseError(self.name, f"its file '{part}' has another hash than its manifest states")
        for image in IMAGES:
            path = self.folder / image
            if not path.is_file() or path.stat().st_size != self.manifest[f"{image}_pages"] * PAGE:
                raise BadBaseError(self.name, f"its {image} has another length than its manifest states")
            kept = _file_digest(self.folder / f"{image}.pages")
            if kept != self.manifest[image] or hashlib.sha256(listing(path).tobytes()).hexdigest() != kept:
                raise BadBaseError(self.name, f"its {image} has other pages than its manifest states")


def seal(folder: Path, name: str, machine: Machine, state: bytes, append: str = "") -> Base:
    """Make a base of a folder that has ``disk`` and ``memory``, and perhaps ``kernel`` and ``initrd``.

    Hashes all pages; ``state`` is the device state. Raises BadBaseError when lengths do not fit.
    """
    disk = folder / "disk"
    if disk.stat().st_size % PAGE or (folder / "memory").stat().st_size != machine.memory_pages * PAGE:
        raise BadBaseError(name, "its disk is not whole pages, or its memory has not the machine's size")
    (folder / "state").write_bytes(compress(state, 12))
    manifest: dict[str, Any] = {
        "format": 1,
        "machine": machine.to_json(),
        "disk_pages": disk.stat().st_size // PAGE,
        "memory_pages": machine.memory_pages,
        "state_size": len(state),
        "append": append,
        "parts": {part: _file_digest(folder / part) for part in PARTS if (folder / part).exists()},
    }
    for image in IMAGES:
        data = listing(folder / image).tobytes()
        (folder / f"{image}.pages").write_bytes(data)
        manifest[image] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_bytes(pack_manifest(manifest))
    (folder / "name").write_text(name + "\n")
    return Base(folder)


def pack_manifest(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()


def _checked(data: Any) -> dict[str, Any]:
    fields = {"format", "machine", "disk_pages", "memory_pages", "state_size", "append", "parts", *IMAGES}
    if not isinstance(data, dict) or set(data) != fields or data["format"] != 1:
        raise ValueError("its manifest is of another format")
    for field, most in (
        ("disk_pages", MOST_DISK_PAGES),
        ("memory_pages", 1 << 28),
        ("state_size", MOST_STATE),
    ):
        if not isinstance(data[field], int) or not 0 <= data[field] <= most:
            raise ValueError(f"its {field} is out of range")
    parts = data["parts"]
    known = isinstance(parts, dict) and "state" in parts and set(parts) <= set(PARTS)
    if not known or not all(good_id(digest) for digest in [*parts.values(), data["disk"], data["memory"]]):
        raise ValueError("its list of parts is not one")
    # The kernel's command line becomes one argument of QEMU's, never several.
    if not isinstance(data["append"], str) or len(data["append"]) > 2000 or not data["append"].isprintable():
        raise ValueError("its kernel command line is not printable")
    return data


def _file_digest(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
