"""Queues of the broker that nobody reads: a service that is gone has left them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry.cloud.engine.upkeep import AttentionError, UpkeepTask
from skerry.common.files import write_atomically

IDLE = 20 * 3600.0  # seconds without a reader, at each look; a service that is restarted is back long before
COLUMNS = ("name", "type", "consumers", "messages")

Ask = Callable[[Sequence[str]], str]


@dataclass(frozen=True)
class UnreadQueues:
    """What was seen without a reader, and since when (``noted``, a file of JSON)."""

    noted: Path
    ask: Ask  # runs rabbitmqctl with these words, and returns what it prints

    def task(self) -> UpkeepTask:
        return UpkeepTask("rabbitmq-queues", "queues that nobody reads", self.clear, needs=("rabbitmq",))

    def clear(self) -> str:
        """Remove queues that are empty and without a reader since yesterday: who needs one declares it again.

        Raises AttentionError for those with messages in them: these may be requests that still count.
        """
        now = time.time()
        unread = {
            queue["name"]: queue["messages"]
            for queue in self._queues()
            if not queue["consumers"] and queue["type"] != "stream"  # a stream keeps what was read
        }
        before = self._before()
        since = {name: min(before.get(name, now), now) for name in unread}
        left = [name for name in unread if now - since[name] >= IDLE]
        removed = [name for name in left if not unread[name] and self._still_unread(name)]
        for name in removed:
            self.ask(["delete_queue", name])
            del since[name]
        write_atomically(self.noted, json.dumps(since, indent=1) + "\n", mode=0o600)
        full = {name: unread[name] for name in left if unread[name]}
        if full:
            shown = ", ".join(f"{name} ({messages} messages)" for name, messages in sorted(full.items()))
            raise AttentionError(
                f"nobody has read these queues since yesterday: {shown}; the services that should are gone or hang"
            )
        return f"removed {len(removed)} that nobody has read since yesterday" if removed else ""

    def _before(self) -> dict[str, float]:
        try:
            found = json.loads(self.noted.read_text())
            return {str(name): float(since) for name, since in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _queues(self) -> list[Mapping[str, Any]]:
        return list(json.loads(self.ask(["list_queues", *COLUMNS, "--formatter", "json"])))

    def _still_unread(self, name: str) -> bool:
        """Quorum queues know no 'delete if unused': it is looked again, right before."""
        return any(
            queue["name"] == name and not queue["consumers"] and not queue["messages"]
            for queue in self._queues()
        )
