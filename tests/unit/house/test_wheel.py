"""The wheel, built from a copy of the tree and used where the tree is not importable."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.support import CHECKOUT

# Run by the installed copy: what it reads as data of its own.
READ_DATA = """
import skerry
from pathlib import Path
from skerry.cloud.config import schema
from skerry.migration import plan
here = Path(skerry.__file__).parent
assert here.is_relative_to(Path.cwd()), here
assert schema.load("nova").options("DEFAULT") and plan.load(None).flavors
print(sum(len(path.read_text()) for path in here.rglob("*.sh")))
"""


def built(folder: Path) -> Path:
    source = folder / "source"
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        source.mkdir(exist_ok=True)
        shutil.copy(CHECKOUT / name, source)
    # With byte code and the like, as it is on a developer's machine.
    shutil.copytree(CHECKOUT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    stale = source / "src/skerry/cloud/__pycache__/stale.cpython-311.pyc"
    stale.parent.mkdir(exist_ok=True)
    stale.write_bytes(b"")
    argv = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "WARNING" not in done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel unpacked, which is how a wheel of pure Python is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    target = folder / "target"
    with zipfile.ZipFile(built(folder)) as wheel:
        wheel.extractall(target)
    return target


def python(target: Path, *argv: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SKERRY")}
    environment |= {"PYTHONPATH": str(target), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *argv], cwd=target, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_tree_and_nothing_else(installed: Path) -> None:
    def files(folder: Path) -> set[str]:
        paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return {str(path) for path in paths if "__pycache__" not in path.parts}

    assert files(installed / "skerry") == files(CHECKOUT / "src/skerry")
    assert not list(installed.rglob("__pycache__"))


def test_the_installed_command_runs(installed: Path) -> None:
    assert "usage: skerry" in python(installed, "-m", "skerry.cli.main", "--help")
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    assert "skerry = skerry.cli.main:main" in entry_points.read_text()


def test_the_installed_copy_reads_its_data(installed: Path) -> None:
    assert int(python(installed, "-c", READ_DATA)) > 1000
