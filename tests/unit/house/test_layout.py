"""Where things are: sizes of modules and folders, the mirror of the unit tests, names, and maps that are true."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest
from tests.support import CHECKOUT

SOURCE = CHECKOUT / "src/skerry"
TESTS = CHECKOUT / "tests"
ROOTS = (CHECKOUT / "src", TESTS, CHECKOUT / "benchmarks")
LINES, MODULES = 500, 15
# What a package's map names: ``module`` or ``folder/`` before a colon or a comma.
NAMED = re.compile(r"``([a-z_0-9]+/?)``[:,]")


def modules(*roots: Path) -> list[Path]:
    return sorted(path for root in roots for path in root.rglob("*.py"))


def packages() -> list[Path]:
    return sorted(path.parent for path in SOURCE.rglob("__init__.py"))


def shown(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def test_no_module_is_long() -> None:
    lengths = {shown(path): len(path.read_text().splitlines()) for path in modules(*ROOTS)}
    assert {name: lines for name, lines in lengths.items() if lines > LINES} == {}


def test_no_folder_is_a_heap() -> None:
    found: dict[Path, int] = defaultdict(int)
    for path in modules(*ROOTS):
        found[path.parent] += path.name != "__init__.py"
    assert {shown(folder): count for folder, count in found.items() if count > MODULES} == {}


def test_a_class_name_means_one_class() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules(SOURCE):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(shown(path))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def mirrored(test: Path) -> bool:
    """Whether a test file is where what it tests is: a module, or the package of its own folder as a whole."""
    folder = test.parent.relative_to(TESTS / "unit")
    name = test.stem.removeprefix("test_")
    if folder.parts[:1] == ("support",):
        return (TESTS / folder / f"{name}.py").is_file()
    return (SOURCE / folder / f"{name}.py").is_file() or (folder.name == name and (SOURCE / folder).is_dir())


def test_unit_tests_mirror_the_source() -> None:
    tests = [path for path in modules(TESTS / "unit") if path.name.startswith("test_")]
    assert len(tests) > 80
    own = TESTS / "unit/house"
    assert [shown(path) for path in tests if not path.is_relative_to(own) and not mirrored(path)] == []


@pytest.mark.parametrize("package", packages(), ids=shown)
def test_the_map_of_a_package_is_true(package: Path) -> None:
    """What its docstring names exists; that of a system names each of its folders."""
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    assert len(text) > 20
    named = NAMED.findall(text)
    assert [name for name in named if not (package / name).is_dir() and not exists(package, name)] == []
    folders = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    if package.parent == SOURCE:
        assert folders - set(named) == set(), "folders that the map leaves out"


def exists(package: Path, module: str) -> bool:
    return (package / f"{module}.py").is_file()


def test_package_docstrings_differ() -> None:
    docs = [ast.get_docstring(ast.parse((package / "__init__.py").read_text())) for package in packages()]
    assert len(set(docs)) == len(docs)
