"""What 'up' would change, step by step; nothing is touched."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Unknown
from skerry.cloud.operations.graph import graph
from skerry.cloud.operations.preflight import IDENTITY, preflight


@dataclass
class Plan:
    """What a run would change, step by step; ``later`` are steps that can only look once others have run."""

    changes: dict[str, list[str]]
    later: dict[str, str]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def render(self) -> str:
        if not self.changes and not self.later:
            return "Nothing would change."
        lines = []
        for title, changes in self.changes.items():
            lines += [title, *(f"    {change}" for change in changes)]
        if self.later:
            lines += [
                "To be looked at once those are done:",
                *(f"    {t} ({why})" for t, why in self.later.items()),
            ]
        return "\n".join(lines)


def plan(root: Path | str) -> Plan:
    """Ask every step what it would change. Nothing is touched; a changed configuration names what restarts.

    Raises ConfigError, and PreflightError when the machine is not the host that the cloud knows.
    """
    ctx = Context.at(root)
    preflight(ctx, IDENTITY)
    changes: dict[str, list[str]] = {}
    later: dict[str, str] = {}
    pending: dict[str, str] = {}  # step -> title of the first change that it waits for
    for step in graph(ctx).order:
        waits = next((pending[need] for need in step.needs if need in pending), None)
        if waits is not None and step.live:
            later[step.title] = f"after: {waits}"
            pending[step.name] = waits
            continue
        try:
            found = step.check()
        except (Unknown, OSError) as reason:
            later[step.title] = str(reason)
            continue
        if found or waits is not None:
            pending[step.name] = waits or step.title
        if found:
            changes[step.title] = [str(change) for change in found]
    return Plan(changes, later)
