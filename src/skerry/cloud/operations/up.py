"""Bringing a cloud up, or to what cloud.toml describes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from skerry.cloud.components.libvirt.hypervisor import Hypervisor
from skerry.cloud.context import Context
from skerry.cloud.engine.lock import exclusive
from skerry.cloud.engine.step import Event, Graph, GraphRun
from skerry.cloud.model.cloud_toml import documented_toml
from skerry.cloud.operations.graph import graph
from skerry.cloud.operations.preflight import preflight
from skerry.cloud.resources.base import SERVER
from skerry.cloud.resources.first_server import FirstServer, ssh_command
from skerry.cloud.steps.reserve import free_when_full
from skerry.common import log
from skerry.common.errors import PackageError
from skerry.common.files import write_atomically

VIRTUAL = {"qemu": "QEMU's own translation (TCG)", "kvm": "KVM"}
TRANSLATED = "guests are several times slower: one of Debian answers minutes after it is ACTIVE"


@dataclass
class Summary:
    """What 'up' reports at the end."""

    seconds: float
    changed: list[str]
    dashboard: str
    user: str
    password_in: str
    clouds_yaml: str
    cloud: str
    hypervisor: str
    hypervisor_reason: str
    server: str | None
    ssh: str | None
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def render(self) -> str:
        did = f"{len(self.changed)} steps did something" if self.changed else "nothing had to change"
        lines = [
            "",
            f"The cloud '{self.cloud}' is up ({self.seconds:.0f} s; {did}).",
            "",
            f"  Dashboard    {self.dashboard}",
            f"               user {self.user}, domain Default, password: sudo ./skerry secrets show admin",
            "  Client       sudo ./skerry openstack server list",
            f"               or any other: --os-cloud {self.cloud} ({self.clouds_yaml})",
            f"  Hypervisor   {self.hypervisor} ({self.hypervisor_reason})",
        ]
        if self.hypervisor == VIRTUAL["qemu"]:
            lines.append(f"               {TRANSLATED}")
        if self.ssh:
            lines += [
                f"  Server       {SERVER} at {self.server}",
                f"  Log in       sudo {self.ssh}",
            ]
        lines += [f"  Warning      {warning}" for warning in self.warnings]
        lines += [
            "",
            "  Next         sudo ./skerry status       what runs, and how much memory it takes",
            "               sudo ./skerry verify       upstream's own tests against this cloud",
            "               sudo ./skerry down         stop it; 'up' brings everything back",
        ]
        return "\n".join(lines)


@dataclass
class JoinedSummary:
    """What 'up' reports on a host that another one has made a part of its cloud."""

    host: str
    seconds: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def render(self) -> str:
        return f"Host {self.host} does its part ({self.seconds:.0f} s)."


def up(
    root: Path | str,
    watch: Callable[[Event], None],
    *,
    features: Sequence[str] = (),
    install: bool = True,
    first_server: bool | None = None,
    begin: Callable[[Graph], None] = lambda graph: None,
) -> Summary | JoinedSummary:
    """Converge the cloud under ``root``, or this host's part of it; every step reports to ``watch`` what it does.

    New passwords that a broken rotation has left, or a host that has gone out of the cloud, are brought to all services.
    Raises PreflightError, BusyError, ConfigError, PackageError, StepError, NotReadyError.
    """
    started = time.monotonic()
    freed = free_when_full(Context.at(root).layout)
    preflight(Context.at(root))
    changed = _finish_rotation(root, watch, begin)
    summary = converge(
        root, watch, features=features, install=install, first_server=first_server, begin=begin
    )
    changed += _finish_rotation(root, watch, begin)
    summary.seconds = round(time.monotonic() - started, 1)
    if isinstance(summary, Summary):
        summary.changed = sorted({*summary.changed, *changed})
        summary.warnings += [freed] if freed else []
    return summary


def _finish_rotation(
    root: Path | str, watch: Callable[[Event], None], begin: Callable[[Graph], None]
) -> list[str]:
    """Bring new passwords that wait to the whole cloud, if it runs; returns the steps that did something."""
    from skerry.cloud.operations.rotate import rotate  # it converges, too

    ctx = Context.at(root)
    if not (ctx.leads and ctx.secrets.previous and ctx.supervisor.running()):
        return []
    return rotate(root, (), lambda text: None, watch, begin).steps


def converge(
    root: Path | str,
    watch: Callable[[Event], None],
    *,
    features: Sequence[str] = (),
    install: bool = True,
    first_server: bool | None = None,
    begin: Callable[[Graph], None] = lambda graph: None,
) -> Summary | JoinedSummary:
    """Run every step of the graph that has something to do. Raises what ``up`` raises."""
    started = time.monotonic()
    ctx = Context.at(root)
    log.make_folder()
    with exclusive(ctx.layout, "up"):
        if not ctx.layout.cloud_toml.exists():
            write_atomically(ctx.layout.cloud_toml, documented_toml())
        if set(features) - set(ctx.cloud.features):
            _add_features(ctx.layout.cloud_toml, [*ctx.cloud.features, *features])
        ctx = Context.at(root)
        if first_server is not None:
            ctx.cloud = ctx.cloud.model_copy(update={"first_server": first_server})
        steps = graph(ctx)
        if not install and steps.steps["packages"].check():
            raise PackageError(
                "Packages are missing, and --no-packages was given.", remedy="Run 'skerry up' once."
            )
        begin(steps)

        def record(event: Event) -> None:
            if event.kind == "done":
                ctx.journal.record(event.step.name, event.seconds)
            watch(event)

        run = GraphRun(steps, record)
        run.go()
        seconds = time.monotonic() - started
        return _summary(ctx, run, seconds) if ctx.leads else JoinedSummary(ctx.host.name, seconds)


def _add_features(path: Path, features: Sequence[str]) -> None:
    wanted = "features = [" + ", ".join(f'"{name}"' for name in dict.fromkeys(features)) + "]"
    text = path.read_text()
    new, count = re.subn(r"(?m)^#?features\s*=\s*\[[^\]]*\]", wanted, text, count=1)
    write_atomically(path, new if count else f"{wanted}\n{text}")


def _summary(ctx: Context, run: GraphRun, seconds: float) -> Summary:
    address = FirstServer(ctx).address() if ctx.cloud.first_server else None
    return Summary(
        seconds=round(seconds, 1),
        changed=sorted(run.changed),
        dashboard=ctx.url("horizon", "/"),
        user="admin",
        password_in=str(ctx.secrets.path),
        clouds_yaml=str(ctx.layout.clouds_yaml),
        cloud=ctx.cloud.name,
        hypervisor=VIRTUAL[Hypervisor.decided(ctx)] if ctx.does("compute") else "each compute host's own",
        hypervisor_reason=Hypervisor.reason(ctx) if ctx.does("compute") else "'skerry doctor' shows it",
        server=address,
        ssh=" ".join(ssh_command(ctx, address)) if address else None,
    )
