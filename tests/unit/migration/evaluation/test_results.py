"""Raw data that outlive a kill, and the page that is made from them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from skerry.common.errors import NotFoundError, PreflightError
from skerry.migration.evaluation import thesis
from skerry.migration.evaluation.report import write
from skerry.migration.evaluation.results import Book
from skerry.migration.plan import load


def about() -> dict[str, Any]:
    plan = load(None).model_dump(mode="json")
    return {
        "plan": plan,
        "seed": 4,
        "hosts": ["two", "three"],
        "interval": 0.01,
        "kernel": "6.1",
        "versions": "QEMU",
    }


def row(flavor: str, number: int, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"flavor": flavor, "dirty": 0, "mode": "pre-copy", "rate": 0, "number": number}
    made |= {"failure": "", "trustworthy": True, "seconds": 3.0 + number, "network_downtime": 100.0 + number}
    made |= {
        "by_loss_sent": 8,
        "by_loss_lost": number % 2,
        "by_loss_rtt": 2.0,
        "by_loss_downtime": 2.0 * (number % 2),
    }
    made |= {
        "spacing": 10.0,
        "qemu_downtime": 5.0,
        "qemu_total": 900.0 + number,
        "guest_rate": 0.0,
        "guest_corrupt": 0,
        **more,
    }
    key = f"{made['flavor']}-{made['dirty']}-{made['mode']}-{made['rate']}-{number}"
    return {"key": key, **made}


@pytest.fixture
def book(tmp_path: Path) -> Book:
    book = Book(tmp_path / "evaluation")
    book.begin(about())
    for number in range(1, 4):
        book.add(row("nano", number))
        book.add(row("tiny", number, dirty=50, mode="auto-converge", rate=32, guest_rate=49.0))
        book.add(row("tiny", number, rate=16 * number, guest_rate=0.0))
    return book


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


def test_a_folder_without_an_evaluation_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no evaluation in"):
        write(Book(tmp_path))


def test_the_page_needs_nothing_else(book: Book) -> None:
    book.add(row("large", 1, failure="No <b>valid</b> host was found."))
    text = write(book).read_text()
    fetched = re.findall(r"""(?:src|href|url|@import)\s*[=(]\s*["']?(?!#)([^"')\s>]+)""", text)
    assert [address for address in fetched if not address.startswith(("#", "data:"))] == []
    assert "<script" not in text
    assert text.count("<svg") == 2, "downtime by flavor, and time against bandwidth; no trace was kept"
    assert "No &lt;b&gt;valid&lt;/b&gt; host was found." in text


def test_the_tables_have_every_row(book: Book) -> None:
    write(book)
    rows = list(csv.DictReader((book.folder / "runs.csv").open()))
    assert len(rows) == len(json.loads((book.folder / "runs.json").read_text())) == 9


def test_the_thesis_method_and_the_right_one_stand_side_by_side(book: Book) -> None:
    (nano,) = [one for one in thesis.table_3(book.rows()) if one.its.flavor == "nano"]
    assert nano.its.downtime == 9.6 and nano.corrected == 4000, "4 of 50 probes, one a second"
    assert nano.loss == pytest.approx(100 * 2 / 24)
    assert nano.by_its_method == pytest.approx(4 / 3)
    assert nano.right is not None and nano.right.median == 102
    whole = thesis.table_4(book.rows())
    assert whole is not None
    assert whole.read_off == 5.0 and whole.total.median == 5000 and whole.spacing == 10
