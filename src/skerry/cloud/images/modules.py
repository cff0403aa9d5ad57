"""Kernel modules out of a Debian kernel package, in an order in which ``insmod`` can load them.

A kernel package has no ``modules.dep`` (depmod makes it at installation), so the order is computed from
what the modules themselves declare.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterable
from pathlib import Path

from skerry.cloud.images import elf
from skerry.common.errors import ImageError


class NoModuleError(ImageError):
    """The kernel has no module '{}', neither as a file nor built in"""


class ModuleCycleError(ImageError):
    """Kernel modules need each other in a circle: {}"""


def load_order(wanted: Iterable[str], depends: Callable[[str], list[str]]) -> list[str]:
    """``wanted`` and all that they depend on, each after what it needs.

    Raises ModuleCycleError.
    """
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in order:
            return
        if name in path:
            raise ModuleCycleError(" -> ".join([*path, name]))
        for other in depends(name):
            visit(other, (*path, name))
        order.append(name)

    for name in wanted:
        visit(name, ())
    return order


class ModuleTree:
    """The modules below one ``lib/modules/VERSION`` folder."""

    def __init__(self, folder: Path) -> None:
        self._files = {_name(path): path for path in folder.rglob("*.ko*")}
        listing = folder / "modules.builtin"
        text = listing.read_text() if listing.is_file() else ""
        self._builtin = {_name(Path(line)) for line in text.split()}
        self._images: dict[str, bytes] = {}

    def read(self, name: str) -> bytes:
        """A module's code, unpacked.

        Raises NoModuleError.
        """
        if name not in self._images:
            if name not in self._files:
                raise NoModuleError(name)
            path = self._files[name]
            data = path.read_bytes()
            self._images[name] = lzma.decompress(data) if path.suffix == ".xz" else data
        return self._images[name]

    def depends(self, name: str) -> list[str]:
        """What a module needs before it; what is built in needs nothing.

        ``softdep: pre`` counts too: virtio and file systems name their checksum code in it.
        """
        fields = elf.module_info(self.read(name), name)
        names = [part for value in fields.get("depends", []) for part in value.split(",") if part]
        for value in fields.get("softdep", []):
            before = value.partition("post:")[0].replace("pre:", " ").split()
            names += [part for part in before if part.replace("-", "_") in self._files]
        return [part for part in (part.replace("-", "_") for part in names) if part not in self._builtin]

    def order(self, wanted: Iterable[str]) -> list[str]:
        """As ``load_order``, without those of ``wanted`` that are built in."""
        return load_order((name for name in wanted if name not in self._builtin), self.depends)


def _name(path: Path) -> str:
    return path.name.partition(".ko")[0].replace("-", "_")
