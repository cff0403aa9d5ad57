"""What the launcher makes of a process, as the kernel shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skerry.cloud.supervise import launch
from skerry.cloud.supervise.launch import CAPABILITIES
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import Service

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
BECOME_ROOT = ("setpriv", "--reuid=0", "--clear-groups")
SHOW = ("cat", "/proc/self/status")


def started(folder: Path, argv: tuple[str, ...], **facts: Any) -> dict[str, str]:
    service = Service("shown", argv, TcpProbe(1), keeps_children=True, **facts)
    spec = folder / "shown.json"
    spec.write_text(service.spec())
    program = [sys.executable, "-I", "-S", str(launch.__file__), str(spec)]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {key: value.strip() for key, value in (line.split(":", 1) for line in done.stdout.splitlines())}


def mask(*names: str) -> int:
    return sum(1 << CAPABILITIES[name] for name in names)


def test_a_plain_service_has_and_gains_nothing(tmp_path: Path) -> None:
    shown = started(tmp_path, SHOW, user="nobody")
    assert [int(shown[kind], 16) for kind in ("CapEff", "CapPrm", "CapBnd", "CapAmb")] == [0, 0, 0, 0]
    assert (shown["NoNewPrivs"], shown["Umask"]) == ("1", "0027")
    assert shown["Uid"].split()[1] != "0"


def test_a_service_keeps_its_capabilities_alone(tmp_path: Path) -> None:
    shown = started(tmp_path, SHOW, user="nobody", capabilities=("NET_ADMIN", "NET_RAW"), umask=0o007)
    assert {int(shown[kind], 16) for kind in ("CapEff", "CapBnd")} == {mask("NET_ADMIN", "NET_RAW")}
    assert (shown["NoNewPrivs"], shown["Umask"]) == ("1", "0007")


def test_a_helper_has_what_is_declared_for_it(tmp_path: Path) -> None:
    elevation = {"capabilities": ("SETUID", "SETGID"), "helpers": ("SYS_ADMIN",)}
    shown = started(tmp_path, (*BECOME_ROOT, *SHOW), user="nobody", **elevation)
    assert shown["Uid"].split()[1] == "0"
    assert int(shown["CapEff"], 16) == mask("SETUID", "SETGID", "SYS_ADMIN")
    assert shown["NoNewPrivs"] == "0"


def test_a_service_of_root_has_what_it_names_or_all(tmp_path: Path) -> None:
    shown = started(tmp_path, SHOW, user="root", capabilities=("DAC_OVERRIDE",))
    assert int(shown["CapEff"], 16) == mask("DAC_OVERRIDE") and shown["NoNewPrivs"] == "1"
    assert int(started(tmp_path, SHOW, user="root")["CapEff"], 16) == int(_own("CapBnd"), 16)


def _own(kind: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{kind}:"))
