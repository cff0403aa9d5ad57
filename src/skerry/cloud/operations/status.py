"""What runs, whether it is ready, how much memory it takes, and where it answers."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from skerry.cloud.components import registry
from skerry.cloud.context import Context
from skerry.cloud.hosts.join import Joined
from skerry.cloud.members import Members
from skerry.cloud.model.cloud_toml import Host
from skerry.cloud.operations.graph import services
from skerry.cloud.operations.upkeep.record import UpkeepRecord, load
from skerry.common.errors import NotFoundError, SkerryError


@dataclass(frozen=True)
class ServiceStatus:
    """``memory`` is the PSS of the service's processes in bytes (pages that are shared count in part)."""

    name: str
    host: str
    title: str
    state: str
    ready: bool
    lack: str | None
    pid: int
    up_seconds: float
    memory: int


@dataclass(frozen=True)
class Status:
    cloud: str
    ready: bool
    memory: int  # bytes, PSS of all services
    services: list[ServiceStatus]
    endpoints: dict[str, str]
    upkeep: UpkeepRecord

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def render(self) -> str:
        table = Table(box=None, pad_edge=False, header_style="bold")
        hosts = {service.host for service in self.services}
        for column in (*(("host",) if len(hosts) > 1 else ()), "service", "what", "state", "up", "memory"):
            table.add_column(column, justify="right" if column in ("up", "memory") else "left")
        for service in self.services:
            state = "ready" if service.ready else f"{service.state}: {service.lack}"
            color = "green" if service.ready else "red"
            table.add_row(
                *((service.host,) if len(hosts) > 1 else ()),
                service.name,
                service.title,
                f"[{color}]{state}[/]",
                f"{service.up_seconds:.0f} s" if service.pid else "",
                f"{service.memory / 2**20:.0f} MiB" if service.pid else "",
            )
        console = Console(highlight=False, width=max(100, Console().width))
        with console.capture() as captured:
            console.print(table)
            console.print()
            for name, url in self.endpoints.items():
                console.print(f"{name:15} {url}")
            console.print(f"{'upkeep':15} {self.upkeep.in_a_line()}")
            ready = sum(service.ready for service in self.services)
            console.print(
                f"\n{ready} of {len(self.services)} services are ready; they take {self.memory / 2**30:.2f} GiB (PSS)."
            )
        return captured.get()


def status(root: Path | str) -> Status:
    """Look at every service of the cloud under ``root``: its process, its probe, its memory."""
    ctx = Context.existing(root)
    processes = ctx.supervisor.processes()
    # Before any probe: a service that forks for a visitor shares its pages for a moment, and would count too little.
    memory = {name: memory_of(process.pid) for name, process in processes.items() if process.pid}
    rows = []
    for service in services(ctx):
        process = processes.get(service.name)
        pid = process.pid if process else 0
        lack = service.ready.missing(pid) if pid else "it does not run"
        rows.append(
            ServiceStatus(
                name=service.name,
                host=ctx.host.name,
                title=service.title,
                state=process.state if process else "stopped",
                ready=lack is None,
                lack=lack,
                pid=pid,
                up_seconds=round(time.time() - process.since, 1) if process and pid else 0.0,
                memory=memory.get(service.name, 0),
            )
        )
    if ctx.leads:
        with ThreadPoolExecutor(max_workers=8) as pool:
            for found in pool.map(lambda host: _elsewhere(ctx, host), ctx.cloud.others):
                rows += found
    endpoints = {
        port.name: ctx.url(port.name)
        for part in registry.present(ctx)
        for port in part.apis
        if ctx.has_control_plane
    }
    ready = all(row.ready for row in rows)
    memory_of_all = sum(row.memory for row in rows)
    return Status(ctx.cloud.name, ready, memory_of_all, rows, endpoints, load(ctx.layout))


def _elsewhere(ctx: Context, host: Host) -> list[ServiceStatus]:
    """The services of another host; a host that does not answer is one that is not ready."""
    try:
        if host.name not in Members(ctx).all():
            raise NotFoundError("it has not joined yet: 'skerry up' brings it in")
        return [ServiceStatus(**row) for row in Joined(ctx, host).status()]
    except SkerryError as error:
        return [ServiceStatus("host", host.name, "the host itself", "away", False, str(error), 0, 0.0, 0)]


def memory_of(pid: int) -> int:
    """The PSS in bytes of a process and all its children, 0 when it is gone. Needs root."""
    total = 0
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        try:
            total += (
                member.memory_footprint().pss
                if hasattr(member, "memory_footprint")
                else member.memory_full_info().pss
            )
        except psutil.Error:
            continue
    return total
