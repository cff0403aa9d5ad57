"""The file of a backup: a tar archive, compressed by Zstandard and encrypted by age, that names and proves its members.

The first member, ``manifest.json``, has the SHA-256 of each other one. age (age-encryption.org/v1) authenticates what it
encrypts, so that a file that was cut off or changed is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import zstandard

from skerry.common import log
from skerry.common.errors import CommandError, NotFoundError, RefusedError
from skerry.common.files import finish
from skerry.common.proc import last_lines

MANIFEST = "manifest.json"
BLOCK = 1 << 20
MOST_MANIFEST = 64 << 20  # bytes of a manifest that are read


class BadArchiveError(RefusedError):
    """The backup {} is refused: {}."""

    remedy = "Nothing was changed. Take another copy of it, or an older backup; --key names the key that it was made with."


@dataclass(frozen=True)
class Key:
    """A key of age: a file with the identity that decrypts, and the recipient that encrypts for it."""

    path: Path

    @property
    def recipient(self) -> str:
        """Raises NotFoundError when the file is not there, or is no key."""
        try:
            lines = self.path.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        found = [line.split(": ", 1)[1] for line in lines if line.startswith("# public key: ")]
        if not found:
            raise NotFoundError(f"{self.path} is not a key of a backup.", remedy="Name it with --key.")
        return found[0]


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def write(target: Path, members: Mapping[str, Path], about: Mapping[str, Any], recipient: str) -> None:
    """Write ``members`` (name in the archive: file) and what it is ``about`` to ``target``, readable by its owner only.

    Raises CommandError; ``target`` is only there when it is whole.
    """
    digests = {name: digest_of(path) for name, path in members.items()}
    manifest = json.dumps({**about, "members": digests}, indent=1).encode()
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    partial.touch(0o600)
    argv = ["age", "--encrypt", "--recipient", recipient]
    try:
        with partial.open("wb") as out, _filter(argv, stdin=subprocess.PIPE, stdout=out) as age:
            assert age.stdin is not None
            packer = zstandard.ZstdCompressor(level=3).stream_writer(age.stdin)
            with packer, tarfile.open(fileobj=packer, mode="w|") as tar:
                _add(tar, MANIFEST, manifest)
                for name, path in members.items():
                    tar.add(path, name, recursive=False)
        finish(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o600
    tar.addfile(member, io.BytesIO(data))


def read(source: Path, key: Path, folder: Path | None) -> dict[str, Any]:
    """Decrypt ``source``, compare each member with the manifest, and write them below ``folder``, if any.

    Returns the manifest. Raises BadArchiveError when something is missing, changed, or has a name that leads elsewhere.
    """
    manifest: dict[str, Any] | None = None
    seen: set[str] = set()
    argv = ["age", "--decrypt", "--identity", str(key), str(source)]
    try:
        with _filter(argv, stdout=subprocess.PIPE) as age:
            assert age.stdout is not None
            packed = zstandard.ZstdDecompressor().stream_reader(age.stdout)
            with packed, tarfile.open(fileobj=packed, mode="r|") as tar:
                for member in tar:
                    content = tar.extractfile(member) if member.isfile() else None
                    if content is None:
                        raise BadArchiveError(source, f"{member.name} is not a file")
                    if manifest is None:
                        manifest = _manifest(source, member, content)
                        continue
                    _take(source, member, content, manifest, folder)
                    seen.add(member.name)
                while age.stdout.read(BLOCK):
                    pass  # what follows the archive: age must get rid of it, and compare its own sum
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise BadArchiveError(source, str(error)) from None
    except CommandError as error:
        raise BadArchiveError(source, error.args[2]) from None
    missing = set(manifest["members"]) - seen if manifest else {MANIFEST}
    if missing or manifest is None:
        raise BadArchiveError(source, f"{', '.join(sorted(missing)[:3])} is missing")
    return manifest


def _manifest(source: Path, member: tarfile.TarInfo, content: IO[bytes]) -> dict[str, Any]:
    if member.name != MANIFEST or member.size > MOST_MANIFEST:
        raise BadArchiveError(source, f"it begins with {member.name}")
    found = dict(json.loads(content.read()))
    if found.get("format") != 1:
        raise BadArchiveError(source, f"it has format {found.get('format')}, and this version reads 1")
    return found


def _take(
    source: Path,
    member: tarfile.TarInfo,
    content: IO[bytes],
    manifest: Mapping[str, Any],
    folder: Path | None,
) -> None:
    name = member.name
    wanted = manifest["members"].get(name)
    if wanted is None or ".." in Path(name).parts or Path(name).is_absolute():
        raise BadArchiveError(source, f"it has a member that it does not name: {name}")
    found = hashlib.sha256()
    out = None
    if folder is not None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(0o600)
        path.chmod(member.mode & 0o777)
        out = path.open("wb")
    try:
        while block := content.read(BLOCK):
            found.update(block)
            if out is not None:
                out.write(block)
    finally:
        if out is not None:
            out.close()
    if found.hexdigest() != wanted:
        raise BadArchiveError(source, f"{name} is not what was written")


@contextmanager
def _filter(argv: list[str], **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program that data goes through. Raises CommandError when it fails or is not installed."""
    with log.command(argv) as running:
        try:
            process = subprocess.Popen(argv, stderr=subprocess.PIPE, **streams)
        except FileNotFoundError:
            raise CommandError(argv[0], "an error", f"{argv[0]} is not installed") from None
        failed: BaseException | None = None
        try:
            yield process
        except BaseException as error:
            failed = error
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        assert process.stderr is not None
        said = process.stderr.read().decode(errors="replace")
        code = process.wait()
        running.ended(code, said)
        if code and not (failed and not said):
            raise CommandError(argv[0], f"exit status {code}", last_lines(said) or "it printed nothing")
        if failed is not None:
            raise failed
