"""Bases as single files: a tar archive, compressed with zstd, of the base's folder without its lists of pages."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zstandard
from numpy.typing import NDArray

from skerry.cloudlet.errors import BadBaseError
from skerry.cloudlet.overlay.base import IMAGES, PARTS, Base
from skerry.cloudlet.overlay.pages import PAGE, listing
from skerry.cloudlet.overlay.store import Store
from skerry.common.files import finish

_FILES = ("manifest.json", "name", *PARTS, *IMAGES)


def export(base: Base, target: Path) -> None:
    """Write a base to a file. Holes are left out: pages of zeros are named, and not written."""
    half = target.with_name(f".{target.name}.part")
    try:
        with (
            half.open("wb") as raw,
            zstandard.ZstdCompressor(level=3, threads=-1).stream_writer(raw) as packed,
            tarfile.open(fileobj=packed, mode="w|") as archive,
        ):
            for name in _FILES:
                path = base.folder / name
                if name in IMAGES:
                    _add_sparse(archive, base, name)
                elif path.exists():
                    archive.add(path, name, filter=_anonymous)
        finish(half, target)
    finally:
        half.unlink(missing_ok=True)


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    return info


def _add_sparse(archive: tarfile.TarFile, base: Base, name: str) -> None:
    """Two members: which pages there are, and these pages one after the other."""
    numbers = np.ascontiguousarray(base.listed(name)["page"])
    pages = base.disk if name == "disk" else base.memory
    index = tarfile.TarInfo(f"{name}.numbers")
    index.size = numbers.nbytes
    archive.addfile(index, io.BytesIO(numbers.astype("<u4").tobytes()))
    held = tarfile.TarInfo(name)
    held.size = len(numbers) * PAGE
    archive.addfile(held, _PageReader(pages, numbers))


class _PageReader:
    """The chosen pages as a file that is read once."""

    def __init__(self, pages: NDArray[np.uint8], numbers: NDArray[np.uint32]) -> None:
        self._pages, self._numbers, self._at, self._rest = pages, numbers, 0, b""

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and self._at < len(self._numbers):
            self._rest += self._pages[self._numbers[self._at : self._at + 256]].tobytes()
            self._at += 256
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def import_(store: Store, path: Path, report: Callable[[str], None], name: str | None = None) -> Base:
    """Take a base out of a file, checking all of it; under another name, perhaps. Raises BadBaseError, RefusedError."""
    with store.work() as folder:
        target = folder / "base"
        target.mkdir()
        report("unpacking it")
        try:
            _unpack(path, target)
            if name:
                (target / "name").write_text(name)
            base = Base(target)
        except (tarfile.TarError, zstandard.ZstdError, ValueError, OSError, KeyError) as reason:
            raise BadBaseError(path.name, reason) from None
        report("checking its pages")
        for image in IMAGES:
            (target / f"{image}.pages").write_bytes(listing(target / image).tobytes())
        base.verify()
        return store.keep_base(target)


def _unpack(path: Path, target: Path) -> None:
    sizes: dict[str, int] = {}
    numbers: dict[str, NDArray[np.uint32]] = {}
    with (
        path.open("rb") as raw,
        zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(raw) as packed,
        tarfile.open(fileobj=packed, mode="r|") as archive,
    ):
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None or (target / Path(member.name).name).exists():
                raise ValueError(f"it has the member '{member.name}'")
            if member.name in ("manifest.json", "name", *PARTS) and member.size <= 1 << 28:
                (target / member.name).write_bytes(file.read())
                if member.name == "manifest.json":
                    (target / "name").write_text("unnamed")
                    manifest = Base(target).manifest
                    (target / "name").unlink()
                    sizes = {image: manifest[f"{image}_pages"] for image in IMAGES}
            elif member.name.removesuffix(".numbers") in sizes and member.name.endswith(".numbers"):
                image = member.name.removesuffix(".numbers")
                if member.size % 4 or member.size > sizes[image] * 4:
                    raise ValueError(f"it lists more pages of its {image} than there are")
                listed = np.frombuffer(file.read(), "<u4")
                if len(listed) and int(listed.max()) >= sizes[image]:
                    raise ValueError(f"it lists a page beyond the end of its {image}")
                numbers[image] = listed
            elif member.name in numbers and member.size == len(numbers[member.name]) * PAGE:
                with (target / member.name).open("wb") as out:
                    out.truncate(sizes[member.name] * PAGE)
                    for number in numbers[member.name].tolist():
                        out.seek(number * PAGE)
                        out.write(file.read(PAGE))
            else:
                raise ValueError(f"it has the member '{member.name}'")
