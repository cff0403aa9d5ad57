"""Where bases and overlays are kept: whole or not at all, whatever happens in between.

    bases/ID/        manifest.json, disk, memory, state, their lists of pages, kernel and initrd if there are
    overlays/ID      one file each
    sessions/NAME/   VMs that run
    keys/            see skerry.cloudlet.overlay.keys
    work/            what a verb is at work on; left behind by a killed one, the next verb sweeps it away

A verb builds in a folder of its own in ``work``, which it holds a lock on, flushes it, and renames it to its
place. A power cut leaves the old or the new, and something to sweep.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.keys import Keys
from skerry.cloudlet.overlay.reader import FileSource, Overlay
from skerry.common.errors import BusyError, NotFoundError, PreflightError, RefusedError
from skerry.common.files import flush_entry
from skerry.common.locks import held

# Guests run as users of their own, and read bases as members of this group. A number that nobody has.
GROUP = 1_900_000_000


def default_folder(root: str) -> Path:
    """Where cloudlets are kept when nothing else is said: below the root folder, or in the home folder of a user."""
    if os.geteuid() == 0 or root != "/":
        return Path(root) / "var/lib/skerry/cloudlet"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "skerry/cloudlet"


class Store:
    """A store of cloudlets in ``root``, which is made if need be. Raises PreflightError when it cannot be."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keys = Keys(root / "keys")
        try:
            root.mkdir(mode=0o711, parents=True, exist_ok=True)
            for name, mode in (("bases", 0o711), ("overlays", 0o700), ("sessions", 0o711), ("work", 0o711)):
                (root / name).mkdir(mode=mode, exist_ok=True)
        except OSError as error:
            raise PreflightError(
                f"Cannot keep cloudlets in {root} ({error.strerror}).",
                remedy="Run as root, or name a folder of yours with --store.",
            ) from None

    # -- work -------------------------------------------------------------------------------------------

    @contextmanager
    def work(self) -> Iterator[Path]:
        """A folder for one verb's work; what is left in it at the end is removed."""
        self.sweep()
        # While a folder is made and locked, nobody sweeps.
        with ExitStack() as lock:
            with held(self.root / "work", shared=True):
                folder = Path(tempfile.mkdtemp(dir=self.root / "work"))
                lock.enter_context(held(folder))
            lock.callback(shutil.rmtree, folder, ignore_errors=True)
            folder.chmod(0o711)
            yield folder

    def sweep(self) -> None:
        """Remove what killed verbs left behind."""
        with held(self.root / "work"):
            for folder in (self.root / "work").iterdir():
                try:
                    with held(folder, seconds=0):
                        shutil.rmtree(folder, ignore_errors=True)
                except (BlockingIOError, FileNotFoundError):
                    pass  # someone is at work in it, or is done with it

    def keep(self, built: Path, kind: str, id: str) -> Path:
        """Move what was built to its place for good. What is there already (the same content) stays."""
        place = self.root / kind / id
        if place.exists():
            return place
        _flush(built)
        try:
            built.rename(place)
        except OSError:
            if not place.exists():
                raise
        flush_entry(place.parent)
        return place

    # -- bases ------------------------------------------------------------------------------------------

    def bases(self) -> list[Base]:
        found = [path for path in (self.root / "bases").iterdir() if (path / "manifest.json").is_file()]
        return sorted((Base(path) for path in found), key=lambda base: base.name)

    def base(self, word: str) -> Base:
        """The base with this name, or whose id begins with it. Raises NotFoundError, RefusedError."""
        found = [base for base in self.bases() if base.name == word]
        found = found or [base for base in self.bases() if len(word) >= 6 and base.id.startswith(word)]
        if not found:
            have = ", ".join(sorted({base.name for base in self.bases()})) or "none"
            raise NotFoundError(f"There is no base '{word}'.", remedy=f"There are: {have}.")
        if len(found) > 1:
            raise RefusedError(f"There are {len(found)} bases '{word}'.", remedy="Give the id instead.")
        return found[0]

    def keep_base(self, built: Path) -> Base:
        """Take a base that was built in ``work``. Raises RefusedError when its name is another's."""
        base = Base(built)
        if any(other.name == base.name and other.id != base.id for other in self.bases()):
            raise RefusedError(
                f"There is another base '{base.name}'.", remedy="Take another name, or remove it."
            )
        if os.geteuid() == 0:
            for path in built.iterdir():
                os.chown(path, 0, GROUP)
        for path in built.iterdir():
            path.chmod(0o640)
        built.chmod(0o711)
        return Base(self.keep(built, "bases", base.id))

    # -- overlays ---------------------------------------------------------------------------------------

    def overlays(self) -> list[Overlay]:
        """All overlays, with their manifests read."""
        found = []
        for path in (self.root / "overlays").iterdir():
            source = FileSource(path)
            found.append(Overlay(source, None))
            source.close()
        return sorted(found, key=lambda overlay: (overlay.manifest.name, overlay.manifest.created))

    def overlay_path(self, word: str) -> Path:
        """The file of the overlay with this name or id. Raises NotFoundError, RefusedError."""
        every = self.overlays()
        found = [overlay for overlay in every if overlay.manifest.name == word]
        found = found or [o for o in every if len(word) >= 6 and o.manifest.id.startswith(word)]
        if not found:
            have = ", ".join(sorted({overlay.manifest.name for overlay in every})) or "none"
            raise NotFoundError(f"There is no overlay '{word}'.", remedy=f"There are: {have}.")
        if len(found) > 1:
            raise RefusedError(f"There are {len(found)} overlays '{word}'.", remedy="Give the id instead.")
        return self.root / "overlays" / found[0].manifest.id

    def open_overlay(self, word: str) -> Overlay:
        """An overlay of this store, its signer trusted. Raises as overlay_path and Overlay do."""
        return Overlay(FileSource(self.overlay_path(word)), self.keys)

    def keep_overlay(self, parts: list[bytes], id: str, folder: Path) -> Path:
        built = folder / "overlay"
        with built.open("wb") as file:
            file.writelines(parts)
        return self.keep(built, "overlays", id)

    # -- removal ----------------------------------------------------------------------------------------

    def remove(self, path: Path) -> None:
        """Remove a base, an overlay or a session: out of its place at once, then piece by piece."""
        with self.work() as folder:
            path.rename(folder / "removed")
            flush_entry(path.parent)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """One at a time. Raises BusyError."""
        with ExitStack() as lock:
            try:
                lock.enter_context(held(self.root / f".{name}.lock", seconds=0, make="file"))
            except BlockingIOError:
                raise BusyError(f"'{name}'", "unknown", "a while") from None
            yield


def _flush(path: Path) -> None:
    for each in [*path.iterdir(), path] if path.is_dir() else [path]:
        flush_entry(each)
