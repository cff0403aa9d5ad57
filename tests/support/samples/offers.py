"""The offer of a handoff."""

from __future__ import annotations

from skerry.cloudlet.overlay.machine import Machine
from skerry.cloudlet.peer.wire import Offer

IDS = "ab" * 32


def offer(**fields: object) -> Offer:
    given: dict[str, object] = {
        "name": "one", "base": IDS, "overlays": [], "machine": Machine().to_json(), "disk_pages": 5,
        "card": None, "generation": "0123abcd-0000-0000-0000-0123456789ab",
    }  # fmt: skip
    return Offer(**{**given, **fields})  # type: ignore[arg-type]
