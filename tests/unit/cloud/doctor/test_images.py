"""Images' files and what is on record of them, on real files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tests.support.samples.doctor import said

from skerry.cloud.doctor import images
from skerry.cloud.doctor.images import ImageRecord, different


def image(folder: Path, name: str, content: bytes = b"content") -> ImageRecord:
    path = folder / name
    path.write_bytes(content)
    return ImageRecord(name, name, len(content), "sha512", hashlib.sha512(content).hexdigest(), path)


def look(folder: Path, *records: ImageRecord, seconds: float = 60.0) -> list[str]:
    return said(different(records, folder / "read.json", seconds))


def test_one_that_is_whole(tmp_path: Path) -> None:
    assert look(tmp_path, image(tmp_path, "tiny")) == []
    ((_, at),) = json.loads((tmp_path / "read.json").read_text()).values()
    assert at > 0


def test_a_file_that_is_gone_or_cut_off(tmp_path: Path) -> None:
    gone, cut = image(tmp_path, "gone"), image(tmp_path, "cut")
    gone.path.unlink()
    cut.path.write_bytes(b"cont")
    what = "does not match its record: its file"
    assert look(tmp_path, gone, cut) == [
        f"error: image gone {what} cannot be read (No such file or directory)",
        f"error: image cut {what} has 4 bytes, its record 7",
    ]


def test_a_content_of_the_same_size(tmp_path: Path) -> None:
    record = image(tmp_path, "tiny")
    record.path.write_bytes(b"c0ntent")
    for _ in range(2):
        (found,) = look(tmp_path, record)
        assert "image tiny does not match its record: its content is another: sha512 " in found


def test_what_changed_and_what_was_read_longest_ago_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = (image(tmp_path, name) for name in ("one", "two", "three"))
    look(tmp_path, one)
    look(tmp_path, one, two)
    read: list[str] = []

    def digest(record: ImageRecord, until: float) -> str:
        read.append(record.name)
        return record.digest

    monkeypatch.setattr(images, "_digest", digest)
    look(tmp_path, two, one, three)
    assert read == ["three", "two", "one"]
    read.clear()
    one.path.write_bytes(b"another")
    look(tmp_path, one, two, three)
    assert read[0] == "one"


def test_there_is_no_time_for_all(tmp_path: Path) -> None:
    record = image(tmp_path, "tiny")
    record.path.write_bytes(b"c0ntent")
    assert look(tmp_path, record, seconds=-1) == []
    assert len(look(tmp_path, record)) == 1


def test_rows_of_glance() -> None:
    new = ImageRecord.of_row(("i", "n", 5, "sha512", "ab", "cd", "file:///srv/a%20b/i"))
    assert (new.algorithm, new.digest, new.path) == ("sha512", "ab", Path("/srv/a b/i"))
    for row in (
        ("i", None, 5, None, None, "cd", "file:///i"),
        ("i", None, 5, "nosuch", "ab", "cd", "file:///i"),
    ):
        old = ImageRecord.of_row(row)
        assert (old.name, old.algorithm, old.digest) == ("i", "md5", "cd")


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": ["x", {}]}'])
def test_a_broken_note_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "read.json").write_text(text)
    assert look(tmp_path, image(tmp_path, "tiny")) == []
