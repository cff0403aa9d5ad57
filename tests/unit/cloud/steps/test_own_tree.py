"""The cloud's own copy of Skerry."""

from __future__ import annotations

import io
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support import CHECKOUT

from skerry.cloud.model.layout import Layout
from skerry.cloud.steps.own_tree import OwnTree, packed


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small one, with what a copy must leave out."""
    folder = tmp_path / "checkout"
    (folder / "src/skerry/__pycache__").mkdir(parents=True)
    (folder / "src/skerry/__init__.py").write_text('"""A package."""\n')
    (folder / "src/skerry/__init__.py").chmod(0o666)
    (folder / "src/skerry/__pycache__/x.pyc").write_text("")
    (folder / "src/link").symlink_to("/etc/hostname")
    (folder / "locks").mkdir()
    for name in ("skerry", "LICENSE", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, folder / name)
    return folder


def step(tmp_path: Path, checkout: Path) -> OwnTree:
    def read(path: Path) -> str | None:
        return path.read_text() if path.exists() else None

    layout = Layout(root=tmp_path / "root", env=tmp_path / "env", checkout=checkout)
    layout.state.mkdir(parents=True, exist_ok=True)
    ctx: Any = SimpleNamespace(layout=layout, platform=SimpleNamespace(read=read))
    return OwnTree(ctx)


def test_a_copy_holds_what_runs_and_nothing_else() -> None:
    archive = packed(CHECKOUT)
    assert archive == packed(CHECKOUT)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        names = tar.getnames()
    assert "skerry" in names and "src/skerry/cloud/supervise/launch.py" in names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".git", "tests"))]


def test_what_the_owner_of_the_checkout_changes_is_not_run_until_the_next_up(
    tmp_path: Path, checkout: Path
) -> None:
    own = step(tmp_path, checkout)
    assert [str(change) for change in own.check()]
    own.apply(print)
    assert not own.check()
    module = own.ctx.layout.tree / "src/skerry/__init__.py"
    (checkout / "src/skerry/__init__.py").write_text("raise SystemExit\n")
    assert module.read_text() == '"""A package."""\n'
    assert own.check()
    own.apply(print)
    assert module.read_text() == "raise SystemExit\n" and not own.check()
    assert sorted(path.name for path in own.ctx.layout.state.iterdir()) == ["tree"]


def test_nobody_else_may_write_into_it_and_it_leads_nowhere(tmp_path: Path, checkout: Path) -> None:
    own = step(tmp_path, checkout)
    own.apply(print)
    tree = own.ctx.layout.tree
    assert not [path for path in tree.rglob("*") if path.is_symlink() or path.stat().st_mode & 0o022]
    assert (tree / "skerry").stat().st_mode & 0o111


def test_a_host_that_runs_from_its_copy_keeps_it(tmp_path: Path, checkout: Path) -> None:
    own = step(tmp_path, checkout)
    own.apply(print)
    layout = own.ctx.layout
    own.ctx.layout = replace(layout, checkout=layout.tree)
    assert not own.check()
