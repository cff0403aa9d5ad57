"""The bootstrap: it runs the environment that its lock names, and no other."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support import CHECKOUT

STUB = """#!/bin/sh
echo "$SKERRY_ENV"; echo "$SKERRY_CHECKOUT"; echo "$PYTHONPATH"; echo "$PYTHONSAFEPATH"; for word; do echo "$word"; done
"""
PYTHON = Path("/usr/bin/python3")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The script and its locks, for the Python that it would choose."""
    if not PYTHON.exists():
        pytest.skip("the machine has no Python of its own")
    folder = tmp_path / "a checkout"
    (folder / "locks").mkdir(parents=True)
    shutil.copy(CHECKOUT / "skerry", folder / "skerry")
    shutil.copy(CHECKOUT / "locks/install", folder / "locks/install")
    for minor in range(11, 20):
        (folder / f"locks/2026.2-py3.{minor}.txt").write_text(f"one==1.{minor}\n")
    (folder / "locks/uv.txt").write_text("uv==1\n")
    return folder


@pytest.fixture
def with_source(checkout: Path) -> Path:
    """The same, with the source that is asked before anything is installed."""
    shutil.copytree(CHECKOUT / "src", checkout / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return checkout


def environment(checkout: Path, home: Path) -> Path:
    """An environment that is complete, named by the digest of the locks."""
    asked = subprocess.run(
        [PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True
    )
    lock = checkout / f"locks/2026.2-py{asked.stdout.strip()}.txt"
    text = lock.read_bytes() + (checkout / "locks/uv.txt").read_bytes()
    made = home / "env" / hashlib.sha256(text).hexdigest()[:12]
    (made / "bin").mkdir(parents=True)
    (made / "bin/python").write_text(STUB)
    (made / "bin/python").chmod(0o755)
    (made / ".complete").touch()
    return made


def run(
    script: Path, home: Path, *words: str, cwd: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    (home / "uv").touch()  # where a file is, nothing can be installed: a wrong environment fails at once
    settings = {"SKERRY_HOME": str(home), "PATH": os.defpath, **more}
    return subprocess.run(
        ["sh", str(script), *words], env=settings, capture_output=True, text=True, timeout=60, cwd=cwd
    )


def test_it_runs_the_environment_of_its_lock(checkout: Path, tmp_path: Path) -> None:
    made = environment(checkout, tmp_path / "home")
    words = ["up", "--with", "two words", ""]
    done = run(checkout / "skerry", tmp_path / "home", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == [
        str(made),
        str(checkout),
        f"{checkout}/src",
        "1",
        "-m",
        "skerry.cli.main",
        *words,
        "",
    ]


def test_nothing_is_imported_from_where_the_caller_is_or_points_to(checkout: Path, tmp_path: Path) -> None:
    made = environment(checkout, tmp_path / "home")
    place = tmp_path / "place"
    for folder in (place, place / "skerry", place / "ensurepip", place / "venv"):
        folder.mkdir()
        (folder / "__init__.py").write_text("import sys; sys.exit('imported')\n")
    for name in ("sys", "argparse", "os", "yaml"):
        (place / f"{name}.py").write_text("import sys; sys.exit('imported')\n")
    (made / "bin/python").write_text(f'#!/bin/sh\nexec {PYTHON} "$@"\n')
    package = checkout / "src/skerry/cli"
    package.mkdir(parents=True)
    (package / "main.py").write_text("import argparse, subprocess, sys\nprint(argparse.__file__)\n")
    with (package / "main.py").open("a") as file:
        file.write("subprocess.run([sys.executable, '-m', 'argparse'])\n")  # and its children neither
    done = run(checkout / "skerry", tmp_path / "home", cwd=place, PYTHONPATH=str(place))
    assert done.returncode == 0 and "imported" not in done.stderr, done.stderr
    assert str(place) not in done.stdout and done.stdout


def test_it_is_found_through_a_link(checkout: Path, tmp_path: Path) -> None:
    made = environment(checkout, tmp_path / "home")
    link = tmp_path / "skerry"
    link.symlink_to(checkout / "skerry")
    assert run(link, tmp_path / "home").stdout.split("\n")[:2] == [str(made), str(checkout)]


@pytest.mark.parametrize("changed", ["lock", "uv"])
def test_another_lock_never_runs_the_old_environment(with_source: Path, tmp_path: Path, changed: str) -> None:
    checkout = with_source
    environment(checkout, tmp_path / "home")
    for lock in (checkout / "locks").glob("uv.txt" if changed == "uv" else "2026*"):
        lock.write_text(lock.read_text() + "two==2\n")
    done = run(checkout / "skerry", tmp_path / "home", "plan")
    assert done.returncode == 6 and done.stdout == ""
    assert "could not be installed" in done.stderr


def test_an_environment_that_is_half_made_is_not_used(with_source: Path, tmp_path: Path) -> None:
    (environment(with_source, tmp_path / "home") / ".complete").unlink()
    assert run(with_source / "skerry", tmp_path / "home", "plan").returncode == 6


@pytest.mark.parametrize(
    ("words", "code", "shown"),
    [
        ("statsu", 2, "Did you mean 'status'?"),
        ("--root {} status", 12, "There is no cloud"),
        ("--root {}/skerry up", 2, "is not a folder"),
        ("--help", 0, "bring the cloud up"),
        ("--root {} up", 6, "could not be installed"),
    ],
)
def test_nothing_is_installed_for_what_cannot_be(
    with_source: Path, tmp_path: Path, words: str, code: int, shown: str
) -> None:
    checkout = with_source
    if code in (6, 12) and os.geteuid():
        pytest.skip("who is not root gets another answer")
    home = tmp_path / "home"
    home.mkdir()
    done = run(checkout / "skerry", home, *[word.format(checkout) for word in words.split()])
    assert done.returncode == code and shown in done.stdout + done.stderr, done.stderr
    assert (home / "env").exists() is (code == 6)


def test_no_lock_for_this_python(checkout: Path, tmp_path: Path) -> None:
    environment(checkout, tmp_path / "home")
    for lock in (checkout / "locks").glob("2026*"):
        lock.unlink()
    done = run(checkout / "skerry", tmp_path / "home")
    assert done.returncode == 4 and "no lock for Python" in done.stderr


@pytest.mark.parametrize("script", ["skerry", "locks/install", "locks/compile"])
def test_the_script_is_posix(script: str) -> None:
    shell = shutil.which("dash")
    if shell is None:
        pytest.skip("dash is not installed")
    assert subprocess.run([shell, "-n", str(CHECKOUT / script)]).returncode == 0
