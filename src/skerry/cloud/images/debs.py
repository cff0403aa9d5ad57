"""Debian packages as a source of files: fetched with the machine's apt, unpacked, never installed."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from skerry.cloud.images import elf
from skerry.common.errors import CommandError, PackageError
from skerry.common.files import flush
from skerry.common.proc import run

# The user that apt drops to cannot write into our cache.
_APT = ["apt-get", "-q", "-o", "APT::Sandbox::User=root"]


@dataclass(frozen=True)
class Deb:
    name: str
    version: str
    path: Path


def latest_dependency(package: str) -> str:
    """The first package that a metapackage depends on, such as the newest kernel of linux-image-cloud-amd64.

    Raises PackageError.
    """
    said = run(["apt-cache", "depends", "--important", package], check=False).stdout
    found = re.search(r"^\s*\|?Depends: ([a-z0-9][^\s<]*)$", said, re.MULTILINE)
    if not found:
        raise PackageError(
            f"The package lists of this machine do not know '{package}'", remedy="Run 'apt-get update'."
        )
    return found[1]


def fetch(packages: Iterable[str], cache: Path) -> list[Deb]:
    """The candidate version of each package, downloaded into ``cache`` unless it is there already.

    Raises PackageError.
    """
    names = sorted(set(packages))
    cache.mkdir(parents=True, exist_ok=True)
    try:
        # apt names no file that is in the working folder already: so it is an empty one.
        with tempfile.TemporaryDirectory(dir=cache) as empty:
            uris = run([*_APT, "download", "--print-uris", *names], cwd=empty).stdout
        offered = re.findall(r"^'[^']*' (\S+_\S+_\S+\.deb) (\d+) ", uris, re.MULTILINE)
        held = {path.name: path.stat().st_size for path in cache.glob("*.deb")}
        missing = {file.partition("_")[0] for file, size in offered if held.get(file) != int(size)}
        if missing:
            run([*_APT, "download", *sorted(missing)], cwd=str(cache), timeout=900)
            flush(cache)
    except CommandError as error:
        raise PackageError(
            f"Debian packages could not be downloaded: {error}",
            remedy="Run 'apt-get update' and see whether the Debian mirror answers.",
        ) from error
    debs = {file.split("_")[0]: cache / file for file, _ in offered}
    if lacking := set(names) - set(debs):
        raise PackageError(f"apt-get offers no download of {', '.join(sorted(lacking))}")
    return [Deb(name, unquote(path.name.split("_")[1]), path) for name, path in sorted(debs.items())]


def with_libraries(packages: Iterable[str], cache: Path) -> list[Deb]:
    """``packages`` and, recursively, the library packages among their dependencies.

    Only libraries are followed: a dependency on debconf, for example, is of no use to files taken out of a package.
    """
    found: dict[str, Deb] = {}
    todo = set(packages)
    while todo:
        new = fetch(todo, cache)
        found |= {deb.name: deb for deb in new}
        todo = {name for deb in new for name in _libraries(deb)} - set(found)
    return [found[name] for name in sorted(found)]


def _libraries(deb: Deb) -> list[str]:
    said = run(["dpkg-deb", "-f", str(deb.path), "Pre-Depends", "Depends"]).stdout
    lines = said.replace("Pre-Depends:", ",").replace("Depends:", ",")
    first_choices = (choice.split("|")[0].split("(")[0] for choice in lines.split(","))
    names = (choice.strip().partition(":")[0] for choice in first_choices)
    return [name for name in names if re.match(r"lib(?!pam-runtime)|zlib1g", name)]


def unpack(debs: Iterable[Deb], root: Path) -> None:
    """Raises CommandError."""
    root.mkdir(parents=True, exist_ok=True)
    for deb in debs:
        run(["dpkg-deb", "-x", str(deb.path), str(root)])


def link_closure(root: Path, programs: Iterable[Path]) -> list[Path]:
    """The programs and, recursively, the libraries they are linked with.

    Raises PackageError when a library is nowhere below ``root``.
    """
    libraries: dict[str, Path] = {}
    for folder in ("lib", "lib64", "usr/lib", "usr/libexec"):
        for path in sorted((root / folder).rglob("*.so*")):
            libraries.setdefault(path.name, path)
    found: dict[Path, None] = {}
    todo = list(programs)
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found[path] = None
        image = path.read_bytes()
        for name in elf.needed(image, path.name) if elf.is_elf(image) else []:
            if name not in libraries:
                raise PackageError(f"'{path.name}' needs the library {name}, which no unpacked package has")
            todo.append(libraries[name])
    return sorted(found)


def find(root: Path, path: str) -> Path:
    """A file of a package, whether the release has merged /usr or not.

    Raises PackageError.
    """
    for candidate in (path, path.removeprefix("usr/"), f"usr/{path}", path.replace("sbin/", "bin/")):
        if (root / candidate).exists():
            return root / candidate
    raise PackageError(f"No unpacked package has the file {path}")
