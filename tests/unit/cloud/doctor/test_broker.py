"""RabbitMQ's queues: facts in, findings out."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.samples.doctor import said

from skerry.cloud.doctor.broker import unread


def queue(**facts: Any) -> dict[str, Any]:
    return {"name": "scheduler", "consumers": 1, "messages": 0, "type": "quorum", "state": "running", **facts}


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, None),
        ({"consumers": 0}, None),
        ({"consumers": 0, "messages": 30}, "warning: queue scheduler has 30 messages, and nobody reads it"),
        ({"consumers": 0, "messages": 30, "type": "stream"}, None),
        ({"messages": 5000}, "warning: queue scheduler has 5000 messages: its readers do not keep up"),
        ({"state": "down"}, "error: queue scheduler is down"),
    ],
)
def test_queues(facts: dict[str, Any], told: str | None) -> None:
    assert said(unread([queue(**facts)])) == ([told] if told else [])
