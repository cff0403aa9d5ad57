"""Which tests a change can affect, in a made-up repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import CHECKOUT
from tests.support.plugins import changed

CONFTEST = """
import pytest
from skerry.lab.links import y

pytest_plugins = ["tests.support.plugins.changed"]

@pytest.fixture
def lab(): pass
"""
FILES = {
    "pyproject.toml": "[tool.pytest.ini_options]\n",
    "README.md": "A cloud.\n",
    "src/skerry/__init__.py": "",
    "src/skerry/common/__init__.py": "",
    "src/skerry/common/files.py": "x = 1\n",
    "src/skerry/lab/__init__.py": "",
    "src/skerry/lab/links.py": "from skerry.common import files\ny = 1\n",
    "src/skerry/lab/boot.sh": "",
    "src/skerry/cloud/__init__.py": "",
    "src/skerry/cloud/up.py": "def up():\n    from skerry.common.files import x\n",
    "src/skerry/cli/__init__.py": "",
    "src/skerry/cli/cloud/__init__.py": "",
    "src/skerry/cli/cloud/up.py": "import skerry.cloud.up\n",
    "docs/up.md": "",
    "tests/__init__.py": "",
    "tests/conftest.py": CONFTEST,
    "tests/support/__init__.py": "",
    "tests/support/plugins/__init__.py": "",
    "tests/support/plugins/changed.py": Path(changed.__file__).read_text(),
    "tests/support/cloud.py": "import skerry.cloud.up\nz = 1\n",
    "tests/unit/house/test_style.py": "def test_it(): pass\n",
    "tests/unit/lab/test_links.py": "from skerry.lab import links\ndef test_it(): pass\n",
    "tests/unit/lab/test_fixture.py": "def test_it(lab): pass\n",
    "tests/unit/cloud/test_up.py": "from tests.support.cloud import z\ndef test_it(): pass\n",
    "tests/unit/common/test_files.py": "import skerry.common.files\ndef test_it(): pass\n",
    "tests/functional/lab/test_life.py": "def test_it(): pass\n",
    "tests/cloud/test_up.py": "def test_it(): pass\n",
}
TESTS = {path.removeprefix("tests/").removesuffix(".py") for path in FILES if "/test_" in path}
HOUSE = "unit/house/test_style"
LAB = {"unit/lab/test_links", "unit/lab/test_fixture", "functional/lab/test_life", "cloud/test_up"}
CLOUD = {"unit/cloud/test_up", "cloud/test_up"}


CASES = {
    "src/skerry/common/files.py": {*TESTS, HOUSE},  # all import or run something that imports it
    "src/skerry/lab/links.py": {*LAB, HOUSE},
    "src/skerry/lab/boot.sh": {*LAB, HOUSE},
    "src/skerry/cloud/up.py": {*CLOUD, HOUSE},
    "src/skerry/cli/cloud/up.py": {"cloud/test_up", HOUSE},
    "src/skerry/lab/removed.py": {"functional/lab/test_life", "cloud/test_up", HOUSE},
    "docs/up.md": {HOUSE},
    "tests/unit/lab/test_links.py": {"unit/lab/test_links", HOUSE},
    "tests/conftest.py": TESTS,
    "tests/support/cloud.py": TESTS,
    "pyproject.toml": TESTS,
    "locks/new.txt": TESTS,
}
EACH = """
import json, sys
from pathlib import Path
from tests.support.plugins.changed import Change
root = Path.cwd()
conftest = frozenset({root / "tests/conftest.py"})
found = {}
for path in json.loads(sys.argv[1]):
    change = Change(root, [path])
    tests = [test for test in (root / "tests").rglob("test_*.py")
             if change.affects(test, conftest if "fixture" in test.name else frozenset())]
    found[path] = [str(test.relative_to(root / "tests").with_suffix("")) for test in tests]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository, with one commit on main."""
    root = tmp_path_factory.mktemp("checkout")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "one")
    return root


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


def start(root: Path, *argv: str) -> str:
    """What Python prints where the made-up packages are the only ones of their names."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{root}:{root / 'src'}"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        [sys.executable, *argv], cwd=root, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode in (0, 5), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def affected(checkout: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(start(checkout, "-c", EACH, json.dumps(list(CASES))))
    return found


@pytest.mark.parametrize("path", CASES)
def test_what_a_change_of_a_file_can_affect(affected: dict[str, list[str]], path: str) -> None:
    assert set(affected[path]) == CASES[path]


def run(root: Path, *options: str) -> list[str]:
    fixed = ("-p", "no:cacheprovider", "--import-mode=importlib")
    return start(root, "-m", "pytest", *fixed, *options).splitlines()


def selected(root: Path, *options: str) -> set[str]:
    lines = run(root, "--collect-only", "-q", *options)
    return {line.split(".py::")[0].removeprefix("tests/") for line in lines if "::" in line}


def test_a_run_takes_what_git_says(checkout: Path) -> None:
    assert selected(checkout) == TESTS
    # On main: what is not committed ...
    (checkout / "src/skerry/lab/links.py").write_text("y = 2\n")
    assert selected(checkout, "--changed") == {*LAB, HOUSE}
    # ... and what git does not know yet; and when there is nothing, the last commit.
    git(checkout, "commit", "-q", "-a", "-m", "two")
    (checkout / "docs/new.md").touch()
    assert selected(checkout, "--changed") == {HOUSE}
    (checkout / "docs/new.md").unlink()
    assert selected(checkout, "--changed") == {*LAB, HOUSE}
    # On a branch: all since it left main.
    git(checkout, "switch", "-q", "-c", "mine")
    (checkout / "README.md").write_text("A whole cloud.")
    git(checkout, "commit", "-q", "-a", "-m", "three")
    assert selected(checkout, "--changed") == {HOUSE}
    assert selected(checkout, "--changed=HEAD~2") == {*LAB, HOUSE}
    with pytest.raises(AssertionError, match=r"ERROR: --changed: .*nothing"):
        selected(checkout, "--changed=nothing")
    # Workers select the same.
    assert f"{len(LAB) + 1} passed in" in run(checkout, "-n2", "--changed=HEAD~2")[-1]


def test_every_folder_of_tests_that_run_programs_says_what_they_use() -> None:
    for kind in ("functional", "cloud"):
        for path in (CHECKOUT / "tests" / kind).rglob("test_*.py"):
            assert list(changed.uses(path.relative_to(CHECKOUT))), path
    for place in changed.USES:
        assert (CHECKOUT / place).exists(), place
    for used in (used for several in changed.USES.values() for used in several):
        place = f"src/{used.replace('.', '/')}" if used.startswith("skerry.") else used
        assert (CHECKOUT / place).exists() or (CHECKOUT / f"{place}.py").exists(), used
