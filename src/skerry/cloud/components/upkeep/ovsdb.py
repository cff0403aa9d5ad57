"""Databases of Open vSwitch and OVN: a file grows with each change, until it is written again with what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from skerry.cloud.engine.upkeep import UpkeepTask
from skerry.cloud.platform.base import Platform


def task(
    name: str, title: str, service: str, platform: Platform, control: Path, files: Sequence[Path]
) -> UpkeepTask:
    """Compact all databases of the server that has the control socket ``control`` (ovsdb-server(1))."""

    def compact() -> str:
        before = _size(files)
        platform.run(["ovs-appctl", "-t", str(control), "ovsdb-server/compact"], timeout=120)
        after = _size(files)
        return f"from {before / 1024:.0f} to {after / 1024:.0f} KiB" if after < before else ""

    return UpkeepTask(name, title, compact, needs=(service,))


def _size(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.exists())
