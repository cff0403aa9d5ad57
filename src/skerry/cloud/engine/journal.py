"""What was done, for work whose result is too expensive to look at each time, and how long each step took."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from skerry.common.files import write_atomically


class Journal:
    """Fingerprints of finished work and durations in seconds, by step name. A broken file counts as empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            data = json.loads(path.read_text())
        except (OSError, ValueError):
            data = None
        whole = isinstance(data, dict) and all(isinstance(part, dict) for part in data.values())
        self._data: dict[str, dict[str, Any]] = data if whole else {}

    def done(self, step: str) -> str | None:
        """The fingerprint with which ``step`` was last finished."""
        found = self._data.get("done", {}).get(step)
        return None if found is None else str(found)

    def finish(self, step: str, fingerprint: str) -> None:
        self._set("done", step, fingerprint)

    def started(self, step: str) -> bool:
        """Whether ``step`` was ever started (by ``begin``)."""
        return bool(self._data.get("begun", {}).get(step))

    def begin(self, step: str) -> None:
        self._set("begun", step, True)

    def took(self, step: str) -> float | None:
        """How many seconds ``step`` took when it last did something."""
        found = self._data.get("took", {}).get(step)
        return None if found is None else float(found)

    def record(self, step: str, seconds: float) -> None:
        self._set("took", step, round(seconds, 2))

    def _set(self, kind: str, step: str, value: str | float | bool) -> None:
        with self._lock:
            self._data.setdefault(kind, {})[step] = value
            if self.path.parent.is_dir():
                write_atomically(
                    self.path, json.dumps(self._data, indent=1, sort_keys=True) + "\n", mode=0o600
                )
