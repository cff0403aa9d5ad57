"""An evaluation with nine rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.samples.evaluation import about, row

from skerry.migration.evaluation.results import Results


@pytest.fixture
def results(tmp_path: Path) -> Results:
    results = Results(tmp_path / "evaluation")
    results.begin(about())
    for number in range(1, 4):
        results.add(row("nano", number))
        results.add(row("tiny", number, dirty=50, mode="auto-converge", rate=32, guest_rate=49.0))
        results.add(row("tiny", number, rate=16 * number, guest_rate=0.0))
    return results
