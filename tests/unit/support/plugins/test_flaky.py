"""A test that fails once is repeated, and named; the last line stays pytest's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import CHECKOUT

TESTS = """
from pathlib import Path

def test_good():
    pass

def test_flaky(tmp_path_factory):
    mark = Path(__file__).with_name("mark")
    seen = mark.exists()
    mark.touch()
    assert seen, "the first time"
"""
BROKEN = "\ndef test_broken():\n    assert False\n"
PLUGINS = [
    word for name in ("flaky", "lanes", "timeouts") for word in ("-p", f"tests.support.plugins.{name}")
]


def run(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *PLUGINS, "--reruns=1", *options]
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'src'}"}
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("options", [(), ("-n2",)], ids=["alone", "lanes"])
def test_it_is_named_and_the_run_passes(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path, TESTS, "--flaky-file=flaky.json", *options)
    assert done.returncode == 0, done.stdout
    assert "flaky: test_it.py::test_flaky" in done.stdout.splitlines()
    assert json.loads((tmp_path / "flaky.json").read_text()) == ["test_it.py::test_flaky"]
    assert "2 passed, 1 rerun in" in done.stdout.splitlines()[-1]


def test_one_that_fails_again_is_no_flaky_one(tmp_path: Path) -> None:
    done = run(tmp_path, TESTS + BROKEN, "--flaky-file=flaky.json")
    assert done.returncode == 1
    assert json.loads((tmp_path / "flaky.json").read_text()) == ["test_it.py::test_flaky"]
    assert "1 failed, 2 passed, 2 rerun in" in done.stdout.splitlines()[-1]


def test_a_run_without_any_says_so_in_the_file(tmp_path: Path) -> None:
    done = run(tmp_path, "def test_good():\n    pass\n", "--flaky-file=flaky.json")
    assert "flaky:" not in done.stdout
    assert json.loads((tmp_path / "flaky.json").read_text()) == []


def test_a_test_that_hangs_is_ended(tmp_path: Path) -> None:
    text = "import time, pytest\n\n@pytest.mark.timeout(0.5)\ndef test_hangs():\n    time.sleep(99)\n"
    done = run(tmp_path, text, "-n1")
    assert done.returncode == 1 and "Timeout (>0.5s)" in done.stdout
