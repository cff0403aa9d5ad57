"""Queues that nobody reads: what a broker lists, and what it is asked to delete."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from skerry.cloud.components.upkeep.queues import IDLE, UnreadQueues
from skerry.cloud.engine.upkeep import AttentionError


class Broker:
    """Lists queues, and deletes them."""

    def __init__(self, *queues: dict[str, Any]) -> None:
        self.queues = [{"type": "quorum", "consumers": 0, "messages": 0, **queue} for queue in queues]
        self.deleted: list[str] = []

    def __call__(self, words: Sequence[str]) -> str:
        if words[0] == "list_queues":
            return json.dumps(self.queues)
        self.deleted.append(words[1])
        self.queues = [queue for queue in self.queues if queue["name"] != words[1]]
        return ""


def seen(folder: Path, broker: Broker, hours: float) -> UnreadQueues:
    """What is known when all of them were first seen unread so many hours ago."""
    noted = folder / "unread.json"
    first = time.time() - hours * 3600
    noted.write_text(json.dumps({queue["name"]: first for queue in broker.queues}))
    return UnreadQueues(noted, broker)


def test_a_queue_that_is_unread_for_the_first_time_stays(tmp_path: Path) -> None:
    broker = Broker({"name": "reply_1"})
    queues = UnreadQueues(tmp_path / "unread.json", broker)
    assert queues.clear() == "" and broker.deleted == []
    (since,) = json.loads((tmp_path / "unread.json").read_text()).values()
    assert abs(since - time.time()) < 10


def test_a_day_later_it_is_removed(tmp_path: Path) -> None:
    broker = Broker({"name": "reply_1"}, {"name": "compute", "consumers": 1})
    assert seen(tmp_path, broker, 24).clear() == "removed 1 that nobody has read since yesterday"
    assert broker.deleted == ["reply_1"]
    assert json.loads((tmp_path / "unread.json").read_text()) == {}


def test_one_that_was_read_meanwhile_counts_from_the_beginning(tmp_path: Path) -> None:
    broker = Broker({"name": "compute.one", "consumers": 1})
    queues = seen(tmp_path, broker, 24)
    queues.clear()
    broker.queues[0]["consumers"] = 0
    assert queues.clear() == "" and broker.deleted == []


def test_messages_are_not_thrown_away(tmp_path: Path) -> None:
    broker = Broker({"name": "compute.two", "messages": 3}, {"name": "reply_1"})
    with pytest.raises(AttentionError, match=r"compute\.two \(3 messages\)"):
        seen(tmp_path, broker, 24).clear()
    assert broker.deleted == ["reply_1"]


def test_streams_are_left_alone(tmp_path: Path) -> None:
    broker = Broker({"name": "scheduler_fanout", "type": "stream", "messages": 9})
    assert seen(tmp_path, broker, 48).clear() == "" and broker.deleted == []


def test_a_reader_that_comes_just_now(tmp_path: Path) -> None:
    class Read(Broker):
        looked = 0

        def __call__(self, words: Sequence[str]) -> str:
            told = super().__call__(words)
            self.queues[0]["consumers"] = 1
            return told

    broker = Read({"name": "compute.one"})
    assert seen(tmp_path, broker, 24).clear() == "" and broker.deleted == []


def test_a_clock_that_was_set_back_makes_nothing_older(tmp_path: Path) -> None:
    broker = Broker({"name": "reply_1"})
    assert seen(tmp_path, broker, -48).clear() == "" and broker.deleted == []
    (since,) = json.loads((tmp_path / "unread.json").read_text()).values()
    assert since <= time.time() and IDLE > 0


@pytest.mark.parametrize("text", ["", "[]", '{"a": {}}', "{"])
def test_a_broken_note_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "unread.json").write_text(text)
    broker = Broker({"name": "a"})
    assert UnreadQueues(tmp_path / "unread.json", broker).clear() == "" and broker.deleted == []
