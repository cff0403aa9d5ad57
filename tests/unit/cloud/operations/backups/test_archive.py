"""The file of a backup: it comes back as it was, and what was changed or cut off is refused."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from skerry.cloud.operations.backups.archive import BadArchiveError, Key, read, write
from skerry.common.errors import NotFoundError

pytestmark = pytest.mark.skipif(shutil.which("age") is None, reason="age is not installed")


@pytest.fixture
def key(tmp_path: Path) -> Key:
    path = tmp_path / "key"
    subprocess.run(["age-keygen", "-o", str(path)], check=True, capture_output=True)
    return Key(path)


@pytest.fixture
def made(tmp_path: Path, key: Key) -> Path:
    """An archive of two files, one larger than a block."""
    (tmp_path / "large").write_bytes(bytes(range(256)) * 9000)
    (tmp_path / "secret").write_text("word")
    (tmp_path / "secret").chmod(0o640)
    target = tmp_path / "archive"
    members = {"records.sql": tmp_path / "large", "files/etc/secret": tmp_path / "secret"}
    write(target, members, {"format": 1, "cloud": "isle"}, key.recipient)
    return target


def test_it_comes_back_as_it_was(tmp_path: Path, made: Path, key: Key) -> None:
    folder = tmp_path / "out"
    assert read(made, key.path, folder)["cloud"] == "isle"
    assert (folder / "records.sql").read_bytes() == (tmp_path / "large").read_bytes()
    assert (folder / "files/etc/secret").read_text() == "word"
    assert (folder / "files/etc/secret").stat().st_mode & 0o777 == 0o640
    assert made.stat().st_mode & 0o777 == 0o600 and not list(tmp_path.glob("*.partial"))
    assert b"word" not in made.read_bytes()


@pytest.mark.parametrize("where", [200, -1000, -1])
def test_what_was_changed_is_refused(made: Path, key: Key, where: int) -> None:
    data = bytearray(made.read_bytes())
    data[where] ^= 1
    made.write_bytes(data)
    with pytest.raises(BadArchiveError, match="is refused"):
        read(made, key.path, None)


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.999])
def test_what_was_cut_off_is_refused(made: Path, key: Key, kept: float) -> None:
    data = made.read_bytes()
    made.write_bytes(data[: int(kept) if kept > 1 else int(len(data) * kept)])
    with pytest.raises(BadArchiveError):
        read(made, key.path, None)


def test_another_key_does_not_open_it(tmp_path: Path, made: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["age-keygen", "-o", str(other)], check=True, capture_output=True)
    with pytest.raises(BadArchiveError):
        read(made, other, None)


def test_a_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is not a key"):
        _ = Key(tmp_path / "missing").recipient
