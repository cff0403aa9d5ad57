"""An evaluation with nine rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.samples.evaluation import about, row

from skerry.migration.evaluation.results import Book


@pytest.fixture
def book(tmp_path: Path) -> Book:
    book = Book(tmp_path / "evaluation")
    book.begin(about())
    for number in range(1, 4):
        book.add(row("nano", number))
        book.add(row("tiny", number, dirty=50, mode="auto-converge", rate=32, guest_rate=49.0))
        book.add(row("tiny", number, rate=16 * number, guest_rate=0.0))
    return book
