"""A service as the doctor sees it, and findings as text."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from skerry.cloud.doctor.base import Vital
from skerry.cloud.supervise import Process
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import Service


def said(findings: Any) -> list[str]:
    return [f"{finding.severity}: {finding.what}" for finding in findings]


def vital(**facts: Any) -> Vital:
    service = Service(
        "nova-api",
        ("/bin/true",),
        TcpProbe(1),
        title="servers",
        user="nobody",
        after=("start:mariadb", "create:nova"),
    )
    process = Process(
        "nova-api", facts.pop("state", "running"), facts.pop("pid", 4711), facts.pop("since", 0.0)
    )
    return Vital(service, process, facts.pop("missing", None), facts.pop("stopped", False))


def context(last: str = "") -> Any:
    return SimpleNamespace(
        supervisor=SimpleNamespace(
            last_line=lambda name: last, log_path=lambda name: Path("/nowhere"), name="direct"
        ),
        layout=SimpleNamespace(log=Path("/nowhere")),
    )
