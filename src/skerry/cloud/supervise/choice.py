"""Which back end a machine has."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.model.layout import Layout
from skerry.cloud.supervise.base import Supervisor
from skerry.cloud.supervise.supervisord import Direct
from skerry.cloud.supervise.systemd import Systemd
from skerry.common.errors import ConfigError


def supervisor_for(layout: Layout, wanted: str, *, has_systemd: bool) -> Supervisor:
    """The back end named ``wanted``; ``auto`` takes systemd where the host has it, for the machine's own cloud.

    A cloud under another root is always supervised directly: unit names are one per machine. Raises ConfigError when
    systemd is wanted where it cannot be.
    """
    if wanted == "systemd":
        why = "" if has_systemd else "this machine has no systemd"
        if layout.root != Path("/"):
            why = "units are one per machine, and are for its own cloud (--root /)"
        if why:
            raise ConfigError(
                layout.cloud_toml, f"supervisor = 'systemd': {why}; 'auto' and 'direct' work here"
            )
    if wanted == "auto":
        wanted = "systemd" if has_systemd and layout.root == Path("/") else "direct"
    return Systemd(layout) if wanted == "systemd" else Direct(layout)
