"""Removing old rows: when a service's program is run, and how its exit status is read."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skerry.cloud.components.upkeep import rows
from skerry.common.errors import CommandError


class Ran:
    """A context whose programs end with these exit statuses."""

    def __init__(self, folder: Path, *codes: int) -> None:
        self.codes = list(codes)
        self.argv: list[list[str]] = []
        self.layout = SimpleNamespace(run=folder, bin=lambda name: f"/bin/{name}")
        self.platform = SimpleNamespace(run=self._run)
        self.cloud = SimpleNamespace(upkeep=SimpleNamespace(deleted_days=30))

    def _run(self, argv: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.argv.append(argv)
        return subprocess.CompletedProcess(
            argv, self.codes.pop(0), "Traceback:\nOperationalError: gone\n", ""
        )


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (1, 3), (0, 3)])
def test_nova_counts_what_it_did_in_its_exit_status(tmp_path: Path, codes: tuple[int, int]) -> None:
    ctx: Any = Ran(tmp_path, *codes)
    rows.purge_nova(ctx, ["--config-file", "x"], 30)
    archive, purge = (argv[argv.index("db") + 1 :] for argv in ctx.argv)
    assert archive[0] == "archive_deleted_rows" and "--until-complete" in archive and "--all-cells" in archive
    assert purge[0] == "purge" and "--before" in purge and "--all" not in purge


@pytest.mark.parametrize(
    ("codes", "which"), [((3,), "archive_deleted_rows"), ((255,), "archive"), ((1, 4), "purge")]
)
def test_an_error_of_nova_is_one(tmp_path: Path, codes: tuple[int, ...], which: str) -> None:
    ctx: Any = Ran(tmp_path, *codes)
    with pytest.raises(CommandError, match=rf"nova-manage db {which}.*OperationalError: gone"):
        rows.purge_nova(ctx, [], 30)


@pytest.mark.parametrize(
    ("counts", "worked", "text"),
    [
        ((0,), [], ""),
        ((12, 0), [30], "removed 12 rows"),
        ((12, 2), [30], "removed 10 rows"),
        ((5, 5), [30], ""),
    ],
)
def test_the_program_starts_only_when_there_is_something_to_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: tuple[int, ...], worked: list[int], text: str
) -> None:
    left = list(counts)
    asked: list[int] = []
    monkeypatch.setattr(rows, "count", lambda *words: left.pop(0))
    ctx: Any = Ran(tmp_path)
    task = rows.task(ctx, "x-deleted", "X", ("x",), asked.append)
    assert task.work() == text and asked == worked and task.needs == ("mariadb",)
