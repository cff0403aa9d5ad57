"""Raw rows that outlive a kill."""

from __future__ import annotations

import pytest
from tests.support.samples.evaluation import about

from skerry.common.errors import PreflightError
from skerry.migration.evaluation.results import Book


def test_a_row_that_was_cut_off_is_left_out(book: Book) -> None:
    before = book.rows()
    with (book.folder / "runs.jsonl").open("a") as file:
        file.write('{"key": "half')
    assert book.rows() == before


def test_it_goes_on_with_the_seed_it_was_begun_with(book: Book) -> None:
    assert book.begin({**about(), "seed": 99})["seed"] == 4


def test_it_does_not_mix_plans(book: Book) -> None:
    with pytest.raises(PreflightError, match="another plan"):
        book.begin({**about(), "plan": {}})
