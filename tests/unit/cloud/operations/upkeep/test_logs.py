"""Rotation of logs, on real files."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skerry.cloud.operations.upkeep import logs
from skerry.cloud.operations.upkeep.logs import rotate

DAY = 86400


@pytest.fixture
def ctx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(logs, "SIZE", 100)
    (tmp_path / "libvirt/qemu").mkdir(parents=True)
    return SimpleNamespace(layout=SimpleNamespace(log=tmp_path))


def grown(path: Path, text: str = "a" * 101) -> Path:
    path.write_text(text)
    path.chmod(0o640)
    return path


def test_who_writes_continues(ctx: Any) -> None:
    """systemd opens a log to append and never again: it must stay the same file."""
    log = grown(ctx.layout.log / "keystone.log")
    with log.open("a") as writer:
        assert rotate(ctx) == "rotated keystone.log"
        assert log.stat().st_size == 0
        writer.write("after")
        writer.flush()
    assert log.read_text() == "after"
    old = log.with_name("keystone.log.1")
    assert old.read_text() == "a" * 101 and old.stat().st_mode & 0o777 == 0o640
    assert rotate(ctx) == ""


def test_two_are_kept(ctx: Any) -> None:
    for letter in "abc":
        log = grown(ctx.layout.log / "keystone.log", letter * 101)
        rotate(ctx)
    assert [log.with_name(f"keystone.log.{n}").read_text()[0] for n in (1, 2)] == ["c", "b"]
    assert not log.with_name("keystone.log.3").exists()


def test_what_rotates_by_itself_is_left_to_it(ctx: Any) -> None:
    for name in ("skerry.log", "supervisord.log", "other.txt", "supervisord.out", "keystone.log"):
        grown(ctx.layout.log / name)
    assert rotate(ctx) == "rotated keystone.log, supervisord.out"


def test_logs_of_guests_that_are_gone(ctx: Any) -> None:
    folder = ctx.layout.log / "libvirt/qemu"
    old, new = grown(folder / "instance-00000001.log.0"), grown(folder / "instance-00000002.log")
    at = time.time() - 31 * DAY
    os.utime(old, (at, at))
    assert rotate(ctx) == "removed 1 logs of guests that are gone"
    assert not old.exists() and new.exists()


def test_a_link_is_not_followed(ctx: Any, tmp_path: Path) -> None:
    target = grown(tmp_path / "target.txt")
    (ctx.layout.log / "keystone.log").symlink_to(target)
    assert rotate(ctx) == "" and target.stat().st_size == 101
