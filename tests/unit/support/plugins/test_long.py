"""Long cases run when they are asked for; their sample always does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import CHECKOUT

TESTS = """
import pytest

@pytest.mark.parametrize("size", [1, pytest.param(1000, marks=pytest.mark.long)])
def test_it(size):
    pass
"""


@pytest.mark.parametrize(
    ("options", "summary"),
    [((), "1 passed, 1 deselected in"), (("-n2",), "1 passed in"), (("--long",), "2 passed in")],
    ids=["a sample", "a sample in lanes", "all"],
)
def test_long_cases(tmp_path: Path, options: tuple[str, ...], summary: str) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  long: takes long\n")
    plugins = [word for name in ("long", "lanes") for word in ("-p", f"tests.support.plugins.{name}")]
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", *plugins, *options]
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'src'}"}
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout
    assert summary in done.stdout.splitlines()[-1]
