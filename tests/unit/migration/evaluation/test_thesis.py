"""The thesis' method beside the right one."""

from __future__ import annotations

import pytest

from skerry.migration.evaluation import thesis
from skerry.migration.evaluation.results import Results


def test_the_thesis_method_and_the_right_one_stand_side_by_side(results: Results) -> None:
    (nano,) = [one for one in thesis.table_3(results.rows()) if one.its.flavor == "nano"]
    assert nano.its.downtime == 9.6 and nano.corrected == 4000, "4 of 50 probes, one a second"
    assert nano.loss == pytest.approx(100 * 2 / 24)
    assert nano.by_its_method == pytest.approx(4 / 3)
    assert nano.right is not None and nano.right.median == 102
    whole = thesis.table_4(results.rows())
    assert whole is not None
    assert whole.read_off == 5.0 and whole.total.median == 5000 and whole.spacing == 10
