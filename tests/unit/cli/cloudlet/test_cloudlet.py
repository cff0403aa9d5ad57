"""The command's lines, and what it answers where there is nothing yet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skerry.cli.main import execute
from skerry.cli.parser import parse
from skerry.common.errors import NotFoundError, UsageError


def run(*words: str) -> int:
    return execute(["cloudlet", *words])


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ("base create deb", {"verb_of": "create", "name": "deb", "image": None, "machine": "pc-q35-7.2"}),
        ("base import x.zip --name old", {"file": Path("x.zip"), "name": "old", "json": False}),
        (
            "overlay create deb app --run i.sh --warm q.sh",
            {"below": "deb", "script": Path("i.sh"), "warm": Path("q.sh")},
        ),
        (
            "synthesize http://x/y --early --port 80 --port 443",
            {"early": True, "port": [80, 443], "outbound": False},
        ),
        ("overlay import app.overlay", {"verb_of": "import", "file": Path("app.overlay"), "most_mb": 65536}),
        ("discover app", {"wanted": "app", "directory": None, "seconds": 2.0}),
        ("sessions --json", {"part": "sessions", "json": True}),
        ("stop one", {"session": "one"}),
    ],
)
def test_lines_are_understood(line: str, facts: dict[str, object]) -> None:
    read = vars(parse(["cloudlet", *line.split()]))
    assert {name: read[name] for name in facts} == facts


def test_an_empty_store_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ("--store", str(tmp_path / "store"))
    assert run(*store, "base", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []
    run(*store, "sessions")
    assert "none" in capsys.readouterr().out
    for words in (
        ("base", "show", "x"),
        ("overlay", "info", "x"),
        ("overlay", "import", "x"),
        ("stop", "x"),
        ("synthesize", "x"),
    ):
        with pytest.raises(NotFoundError):
            run(*store, *words)
    with pytest.raises(UsageError):
        run(*store, "base", "create", "x", "--cpu", "host")


def test_a_key_is_shown_and_trusted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--store", str(tmp_path / "one"), "trust", "--json")
    key = tmp_path / "key"
    key.write_text(json.loads(capsys.readouterr().out)["own"])
    assert run("--store", str(tmp_path / "two"), "trust", str(key), "--json") == 0
    key.write_text("no key")
    with pytest.raises(UsageError):
        run("--store", str(tmp_path / "two"), "trust", str(key))
