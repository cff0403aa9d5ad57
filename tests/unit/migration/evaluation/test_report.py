"""The page that is made from raw rows."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from tests.support.samples.evaluation import row

from skerry.common.errors import NotFoundError
from skerry.migration.evaluation.report import write
from skerry.migration.evaluation.results import Results


def test_a_folder_without_an_evaluation_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no evaluation in"):
        write(Results(tmp_path))


def test_the_page_needs_nothing_else(results: Results) -> None:
    results.add(row("large", 1, failure="No <b>valid</b> host was found."))
    text = write(results).read_text()
    fetched = re.findall(r"""(?:src|href|url|@import)\s*[=(]\s*["']?(?!#)([^"')\s>]+)""", text)
    assert [address for address in fetched if not address.startswith(("#", "data:"))] == []
    assert "<script" not in text
    assert text.count("<svg") == 2, "downtime by flavor, and time against bandwidth; no trace was kept"
    assert "No &lt;b&gt;valid&lt;/b&gt; host was found." in text


def test_the_tables_have_every_row(results: Results) -> None:
    write(results)
    rows = list(csv.DictReader((results.folder / "runs.csv").open()))
    assert len(rows) == len(json.loads((results.folder / "runs.json").read_text())) == 9
