"""What keystone's catalogue has of a component."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    """One service of the catalogue: its name and type there, and the port (by its name) and path where it answers."""

    service: str
    type: str
    port: str
    path: str = ""
