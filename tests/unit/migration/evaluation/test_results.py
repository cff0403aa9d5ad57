"""Raw rows that outlive a kill."""

from __future__ import annotations

import pytest
from tests.support.samples.evaluation import about

from skerry.common.errors import PreflightError
from skerry.migration.evaluation.results import Results


def test_a_row_that_was_cut_off_is_left_out(results: Results) -> None:
    before = results.rows()
    with (results.folder / "runs.jsonl").open("a") as file:
        file.write('{"key": "half')
    assert results.rows() == before


def test_it_continues_with_the_seed_it_was_started_with(results: Results) -> None:
    assert results.begin({**about(), "seed": 99})["seed"] == 4


def test_it_does_not_mix_plans(results: Results) -> None:
    with pytest.raises(PreflightError, match="another plan"):
        results.begin({**about(), "plan": {}})
