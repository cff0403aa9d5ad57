"""Style, types, imports and files: what ready-made programs check."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import CHECKOUT

PROGRAMS = Path(sys.executable).parent
# Folders that only one machine has; the guests' own home folder is not one of them.
SOMEBODYS = re.compile(r"(?<![\w.\-}])/(?:work|workspace|Users|home/(?!skerry\b)\w+)/\w")


def check(*argv: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "src"), "NO_COLOR": "1"}
    done = subprocess.run(
        [str(PROGRAMS / argv[0]), *argv[1:]], cwd=CHECKOUT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("argv", [("ruff", "check", "-q"), ("ruff", "format", "-q", "--check")], ids=" ".join)
def test_style(argv: tuple[str, ...]) -> None:
    check(*argv, "src", "tests", "benchmarks")


@pytest.mark.timeout(180)
def test_types() -> None:
    check("mypy")


def test_spelling() -> None:
    check("codespell", *(str(path) for path in tracked()))


def test_who_may_import_whom() -> None:
    check("lint-imports", "--no-cache")


def tracked() -> list[Path]:
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = (CHECKOUT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_no_file_names_one_machines_folders() -> None:
    found = []
    for path in tracked():
        text = path.read_bytes().decode(errors="ignore")
        found += [f"{path.relative_to(CHECKOUT)}: {match[0]}" for match in SOMEBODYS.finditer(text)]
    assert found == []


def test_change_fragments_can_be_collected() -> None:
    check("towncrier", "build", "--draft", "--version", "next")
    fragments = (CHECKOUT / "changes").glob("+*.md")
    assert [path.name for path in fragments if len(path.read_text().split()) < 4] == []


def test_locks_hold_hashes_and_no_addresses() -> None:
    locks = list((CHECKOUT / "locks").glob("*.txt"))
    assert any("--hash=sha256:" in path.read_text() for path in locks)
    assert [path.name for path in locks if "://" in path.read_text()] == []
