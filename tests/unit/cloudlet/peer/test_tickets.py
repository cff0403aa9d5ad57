"""One-time tickets of handoffs."""

from __future__ import annotations

import pytest
from tests.support.samples.offers import IDS, offer

from skerry.cloudlet.peer.tickets import Tickets
from skerry.common.errors import RefusedError


def test_an_id_is_used_once_by_whom_it_was_given_to(monkeypatch: pytest.MonkeyPatch) -> None:
    tickets = Tickets()
    one = tickets.new("a", offer(), [])
    with pytest.raises(RefusedError, match="no handoff"):
        tickets.begin(one.id, "b")
    with pytest.raises(RefusedError, match="no handoff"):
        tickets.begin(IDS, "a")
    assert tickets.begin(one.id, "a") is one
    with pytest.raises(RefusedError, match="used already"):
        tickets.begin(one.id, "a")
    late = tickets.new("a", offer(), [])
    late.made -= 100
    with pytest.raises(RefusedError, match="older"):
        tickets.begin(late.id, "a")


def test_after_a_no_a_vm_never_runs() -> None:
    tickets = Tickets()
    asked, ran = (tickets.begin(tickets.new("a", offer(), []).id, "a") for _ in range(2))
    assert not tickets.runs(asked.id, "a")
    with pytest.raises(RefusedError), asked.settled():
        raise AssertionError("it runs")
    with ran.settled():
        pass
    ran.end()
    assert tickets.runs(ran.id, "a") and not tickets.runs(ran.id, "b") and tickets.runs(ran.id, "a")


def test_offers_are_bounded() -> None:
    tickets = Tickets()
    with pytest.raises(RefusedError, match="too many"):
        for _ in range(1000):
            tickets.new("a", offer(), [])
