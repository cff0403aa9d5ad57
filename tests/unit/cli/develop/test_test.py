"""How 'skerry test' hands its words over to pytest."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from skerry.cli.develop import test as verb


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["unit", "-k", "steps"], ["unit", "-k", "steps"]),
        (["--changed"], ["--changed="]),
        (["--changed", "-x"], ["--changed=", "-x"]),
        (["--changed", "unit"], ["--changed=", "unit"]),
        (["--changed", "folder"], ["--changed=", "folder"]),
        (["unit", "--changed", "HEAD~3", "-x"], ["unit", "--changed=HEAD~3", "-x"]),
        (["--changed=main", "cloud"], ["--changed=main", "cloud"]),
    ],
)
def test_the_commit_after_changed_is_its_own(
    words: list[str], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert verb.with_base(words) == expected


@pytest.mark.parametrize(
    ("cores", "gib", "count"), [(2, 24, 3), (6, 24, 6), (16, 24, 9), (2, 6, 2), (2, 1, 1)]
)
def test_there_are_as_many_lanes_as_the_machine_has_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, gib: int, count: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=gib << 30))
    assert f"--numprocesses={count}" in verb.lanes([str(tmp_path)], [])


def test_folders_run_in_lanes_and_one_module_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=24 << 30))
    (tmp_path / "test_it.py").touch()
    side_by_side = "--numprocesses=4"
    assert side_by_side in verb.lanes([str(tmp_path)], ["-k", "steps"])
    assert side_by_side not in verb.lanes([f"{tmp_path}/test_it.py::test_it"], [])
    assert "--reruns=1" in verb.lanes([f"{tmp_path}/test_it.py"], [])
    assert side_by_side in verb.lanes([str(tmp_path)], ["--color=yes"])
    for option in ("--pdb", "-s", "-n0", "--collect-only"):
        assert verb.lanes([str(tmp_path)], [option]) == [], "left to pytest"
