"""What hosts have room for, as placement counts it, and claims on that room."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from skerry.common.errors import NotFoundError, PreflightError

MEMORY = "MEMORY_MB"
VERSION = "1.28"


def _provider(api: Any, host: str) -> str:
    found = list(api.placement.resource_providers(name=host))
    if not found:
        raise NotFoundError(
            f"Placement does not know host '{host}'.", remedy="'skerry doctor' looks for the cause."
        )
    return str(found[0].id)


def _ask(api: Any, path: str) -> Any:
    return api.placement.get(path, microversion=VERSION).json()


def free_memory(api: Any, host: str) -> int:
    """MiB that no server has taken yet. Raises NotFoundError."""
    path = f"/resource_providers/{_provider(api, host)}"
    stock = _ask(api, f"{path}/inventories")["inventories"][MEMORY]
    used = _ask(api, f"{path}/usages")["usages"].get(MEMORY, 0)
    return int((stock["total"] - stock["reserved"]) * stock["allocation_ratio"]) - int(used)


def demand_room(api: Any, name: str, memory: int, source: str, hosts: Sequence[str]) -> None:
    """Raises PreflightError unless some host other than ``source`` has ``memory`` MiB for the server ``name``."""
    free = {host: free_memory(api, host) for host in hosts if host != source}
    if free and max(free.values()) < memory:
        rest = ", ".join(f"{host} has {left} MiB left" for host, left in free.items())
        raise PreflightError(
            f"There is no room for server {name}: it needs {memory} MiB of memory, and {rest}.",
            remedy="Move or stop other servers there. This one stays where it is.",
        )


@contextmanager
def crowded(api: Any, hosts: Sequence[str], leave: int) -> Iterator[None]:
    """While it lasts, each of the hosts has ``leave`` MiB of memory left at most: a claim has the rest."""
    claims: list[str] = []
    try:
        for host in hosts:
            surplus = free_memory(api, host) - leave
            if surplus > 0:
                claims.append(_claim(api, host, surplus))
        yield
    finally:
        for claim in claims:
            api.placement.delete(f"/allocations/{claim}", microversion=VERSION)


def _claim(api: Any, host: str, memory: int) -> str:
    consumer = str(uuid.uuid4())
    body = {
        "allocations": {_provider(api, host): {"resources": {MEMORY: memory}}},
        "project_id": api.current_project_id,
        "user_id": api.current_user_id,
        "consumer_generation": None,
    }
    answer = api.placement.put(f"/allocations/{consumer}", json=body, microversion=VERSION)
    if answer.status_code != 204:
        raise PreflightError(f"Placement refuses a claim on host {host}: {answer.text[:200]}")
    return consumer
