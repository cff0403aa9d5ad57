"""What can go wrong with a measurement."""

from __future__ import annotations

from skerry.common.errors import StepError


class ProbeError(StepError):
    """The probe of {} failed: {}"""

    remedy = "Nothing was moved by this. Look at the prober's interfaces and firewall, and run the same command again."
