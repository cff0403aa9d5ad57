"""Run on the machine: print, as JSON, each process of a cloud with its user and rights, and what its service declares.

Argument: the root folder.
"""

from __future__ import annotations

import grp
import json
import pwd
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from skerry.cloud.context import Context
from skerry.cloud.operations.graph import services
from skerry.cloud.supervise.launch import CAPABILITIES
from skerry.cloud.supervise.process_marks import service_of

NAMES = {number: name for name, number in CAPABILITIES.items()}


def status(pid: int) -> dict[str, str]:
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {key: value.strip() for key, value in lines}


def capabilities(mask: str) -> list[str]:
    """Names of the capabilities in a mask; numbers of those that the launcher has no name for."""
    number = int(mask, 16)
    return [NAMES.get(bit, str(bit)) for bit in range(64) if number >> bit & 1]


def row(pid: int) -> dict[str, Any]:
    facts = status(pid)
    groups = {int(facts["Gid"].split()[1]), *map(int, facts["Groups"].split())}
    return {
        "pid": pid,
        "name": facts["Name"],
        "user": pwd.getpwuid(int(facts["Uid"].split()[1])).pw_name,
        "groups": sorted(grp.getgrgid(number).gr_name for number in groups),
        "no_new_privs": facts["NoNewPrivs"] == "1",
        "bounding": capabilities(facts["CapBnd"]),
        "effective": capabilities(facts["CapEff"]),
    }


def main(root: str) -> None:
    ctx = Context.at(root)
    declared = {service.name: service for service in services(ctx)}
    mains = {process.pid for process in ctx.supervisor.processes().values() if process.pid}
    found = []
    for pid in psutil.pids():
        with suppress(OSError, psutil.NoSuchProcess, KeyError):
            service = service_of(pid, ctx.layout)
            facts = row(pid)
            if service is not None or facts["name"].startswith("qemu-system"):
                found.append({**facts, "service": service or "guest", "main": pid in mains})
    wanted = {
        name: {
            "user": service.user,
            "capabilities": service.capabilities,
            "bounding": service.bounding,
            "no_new_privs": service.gains_nothing,
        }
        for name, service in declared.items()
    }
    print(json.dumps({"processes": found, "declared": wanted}))


if __name__ == "__main__":
    main(sys.argv[1])
