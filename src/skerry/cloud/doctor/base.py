"""What a check is, and what it finds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from skerry.cloud.context import Context
from skerry.cloud.supervise import Process
from skerry.cloud.supervise.service import Service

Severity = Literal["error", "warning", "note"]
ORDER: Mapping[str, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be (``note``: something to know, the cloud is healthy with it).

    ``fix`` repairs it without a risk to data or running servers, and returns what it did, in words.
    """

    severity: Severity
    what: str
    evidence: tuple[str, ...] = ()
    remedy: str = ""
    fix: Callable[[], str] | None = field(default=None, compare=False, repr=False)
    check: str = ""
    means: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "check": self.check,
            "severity": self.severity,
            "what": self.what,
            "means": self.means,
            "evidence": list(self.evidence),
            "remedy": self.remedy,
            "fixable": self.fix is not None,
        }


class CannotLook(Exception):
    """Raised by a check that has no way to look; its text is the reason."""


@dataclass(frozen=True)
class Vital:
    """One service as the doctor sees it: its process, and what its probe misses (None: ready)."""

    service: Service
    process: Process
    missing: str | None
    stopped: bool = False  # by a signal: it exists, but does not run


@dataclass(frozen=True)
class Patient:
    """A cloud, and the state of its services, which was taken before the checks."""

    ctx: Context
    vitals: Mapping[str, Vital]
    supervised: bool  # whether the supervisor itself runs

    def unmet(self, names: Iterable[str]) -> str | None:
        """The first of these services that is not ready, in words; None when all are."""
        for name in names:
            vital = self.vitals.get(name)
            if vital is None or not vital.process.pid:
                return f"{name} does not run"
            if vital.missing:
                return f"{name} is not ready"
        return None


class Check(ABC):
    """One question about the cloud. ``message`` is what a finding of it means, ``remedy`` what to do.

    ``needs`` are services without which it cannot look, ``of`` those that it is about: a host that has not all of
    both is not asked. ``seconds`` is how long it may take.
    """

    name: str
    message: str
    remedy: str = ""
    needs: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    when_down: bool = False  # whether it also looks when the cloud is down
    seconds: float = 20.0

    @abstractmethod
    def findings(self, patient: Patient) -> Iterable[Finding]:
        """What is wrong. Raises CannotLook, or any error, which counts as the same."""
