"""What only root may do."""

from __future__ import annotations

import os

from skerry.common.errors import PreflightError


def require_root(what: str) -> None:
    """Raise PreflightError when this process is not root's; ``what`` is a sentence with what root is needed for."""
    if os.geteuid() != 0:
        raise PreflightError(what, remedy="Run it with sudo.")
