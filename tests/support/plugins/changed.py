"""pytest plugin: ``--changed [BASE]`` runs only what a change since a commit can affect.

A test is affected when its module, or one that has its fixtures, imports a changed module, directly or by way of
others, and when it uses a changed part of the project as a program or as data (`USES`). A change of any other file
may affect everything.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest

PACKAGE = "skerry"
PATHS = pytest.StashKey[set[str]]()  # what has changed
# What tests run as programs, or read as data: packages, modules, and paths from the root of the checkout ("" is all of
# it). The longest place that a test is in counts.
COMMAND = ("skerry.cli.main", "skerry.cli.parser", "skerry.cli.verbs", "skerry.cli.failure")
LAB = (*COMMAND, "skerry.lab", "skerry.cli.lab")
CLOUD = (*COMMAND, "skerry.cloud", "skerry.lab", "skerry.cli.cloud")
CLOUDLET = (*COMMAND, "skerry.cloudlet", "skerry.cli.cloudlet")
USES: dict[str, tuple[str, ...]] = {
    "tests/unit/house": ("",),
    "tests/unit/cli": ("skerry.cli", "docs/", "README.md"),
    "tests/functional/cloud": CLOUD,
    "tests/functional/cloud/images": ("skerry.cloud.images",),
    "tests/functional/cloudlet": CLOUDLET,
    "tests/functional/cloudlet/test_mdns.py": (*CLOUDLET, "skerry.lab"),
    "tests/functional/lab": LAB,
    "tests/cloud": (*CLOUD, "skerry.migration", "skerry.cli.migration"),
}
# Paths that only tests of `USES` see.
PROSE = ("docs/", "changes/", "benchmarks/", "README.md", "CHANGES.md", "CONTRIBUTING.md", "LICENSE")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("skerry").addoption(
        "--changed",
        metavar="BASE",
        nargs="?",
        const="",
        help="run the tests that a change since BASE can affect"
        " (default: since this branch left main; on main, what is not committed, or else the last commit)",
    )


def pytest_configure(config: pytest.Config) -> None:
    base = config.getoption("changed")
    if base is not None:
        given = getattr(config, "workerinput", {}).get("changed")  # workers get it: all must select the same
        config.stash[PATHS] = changed(config.rootpath, base) if given is None else set(given)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    if PATHS in node.config.stash:
        node.workerinput["changed"] = sorted(node.config.stash[PATHS])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if PATHS not in config.stash:
        return
    paths = config.stash[PATHS]
    change = Change(config.rootpath, paths)
    wanted = [item for item in items if change.affects(item.path, fixture_files(item))]
    dropped = set(items) - set(wanted)
    config.hook.pytest_deselected(items=[item for item in items if item in dropped])
    items[:] = wanted


def fixture_files(item: pytest.Item) -> frozenset[Path]:
    """The files that have a test's fixtures."""
    known = item._fixtureinfo.name2fixturedefs if hasattr(item, "_fixtureinfo") else {}
    functions = [fixture.func for fixtures in known.values() for fixture in fixtures]
    return frozenset(
        Path(function.__code__.co_filename) for function in functions if hasattr(function, "__code__")
    )


def git(root: Path, *words: str) -> list[str]:
    """The lines that git prints. Raises UsageError when it fails."""
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise pytest.UsageError("--changed: git is not installed") from None
    if done.returncode:
        raise pytest.UsageError(f"--changed: {done.stderr.strip()}")
    return done.stdout.splitlines()


def changed(root: Path, base: str = "") -> set[str]:
    """The paths that differ from a commit, those of files that git does not know yet among them.

    Raises UsageError when there is no such commit, or no git.
    """
    new = git(root, "ls-files", "--others", "--exclude-standard")
    if not base:
        branches = git(root, "branch", "--list", "main", "--format=%(refname)")
        (base,) = git(root, "merge-base", "HEAD", *branches)[:1] if branches else ("HEAD",)
        here = git(root, "rev-parse", base, "HEAD")
        if here[0] == here[1] and not new and not git(root, "diff", "--name-only", "HEAD"):
            base = "HEAD~1"
    return {*new, *git(root, "diff", "--name-only", "--no-renames", base, "--")}


class Change:
    """What a change of some files of a checkout can affect."""

    def __init__(self, root: Path, paths: Iterable[str]) -> None:
        self.root, self.paths = root, set(paths)
        self.everything = False
        graph = grimp.build_graph(PACKAGE, cache_dir=None)
        self.modules: set[str] = set()
        for path in self.paths:
            if path.startswith(f"src/{PACKAGE}/"):
                self.modules |= self._modules(path, graph.modules)
            elif path.startswith("tests/") and path.endswith(".py"):
                # Programs and plugins of the tests' own package are not imported by the tests that use them.
                self.everything |= path.startswith("tests/support/")
            elif not path.startswith(PROSE):
                self.everything = True
        for module in self.modules & graph.modules:
            self.modules |= graph.find_downstream_modules(module)

    @staticmethod
    def _modules(path: str, known: Iterable[str]) -> set[str]:
        """The module of a file of the package; for one that is not Python, all of the folder in which it is."""
        parts = Path(path).relative_to("src").with_suffix("").parts
        if path.endswith(".py"):
            return {".".join(parts[:-1] if parts[-1] == "__init__" else parts)}
        folder = ".".join(parts[:-1])
        return {folder, *(name for name in known if name.startswith(f"{folder}."))}

    def affects(self, test: Path, fixtures: frozenset[Path] = frozenset()) -> bool:
        """Whether a test of that module, with fixtures of those files, can come out differently."""
        return self.everything or self._affects(test, fixtures)

    @cache  # noqa: B019  # as long-lived as the run
    def _affects(self, test: Path, fixtures: frozenset[Path]) -> bool:
        path = test.relative_to(self.root)
        if {str(path), *(str(folder / "conftest.py") for folder in path.parents)} & self.paths:
            return True
        if any(self._uses(used) for used in uses(path)):
            return True
        return any(self.modules & imported(file, self.root) for file in {test, *fixtures})

    def _uses(self, used: str) -> bool:
        if used.startswith(f"{PACKAGE}."):
            return any(name == used or name.startswith(f"{used}.") for name in self.modules)
        return any(path.startswith(used) for path in self.paths)


def uses(path: Path) -> tuple[str, ...]:
    places = [place for place in USES if Path(place) in (path, *path.parents)]
    return USES[max(places, key=len)] if places else ()


@cache
def imported(file: Path, root: Path) -> frozenset[str]:
    """The names that a file imports, itself or by way of the tests' own package: modules, and names in modules."""
    names: set[str] = set()
    seen, left = set[Path](), [file]
    while left:
        seen.add(here := left.pop())
        found = set(named(ast.parse(here.read_text())))
        names |= found
        further = {
            (root / name.replace(".", "/")).with_suffix(".py") for name in found if name.startswith("tests.")
        }
        left += [path for path in further - seen if path.is_file()]
    return frozenset(names)


def named(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
