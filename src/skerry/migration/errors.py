"""What can go wrong with a measurement."""

from __future__ import annotations

from skerry.common.errors import StepError


class ProbeError(StepError):
    """The probe of {} failed: {}"""

    remedy = (
        "Look at the interfaces and the firewall of the host that probes, and run the same command again."
    )
