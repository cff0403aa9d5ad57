"""Which back end a machine has."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.model.layout import Layout
from skerry.cloud.supervise.base import Supervisor
from skerry.cloud.supervise.supervisord import Direct
from skerry.cloud.supervise.systemd import Systemd


def supervisor_for(layout: Layout, wanted: str, *, has_systemd: bool) -> Supervisor:
    """The back end named ``wanted``; ``auto`` takes systemd where the host has it, for the machine's own cloud.

    A cloud under another root is always supervised directly: unit names are one per machine.
    """
    if wanted == "auto":
        wanted = "systemd" if has_systemd and layout.root == Path("/") else "direct"
    return Systemd(layout) if wanted == "systemd" else Direct(layout)
