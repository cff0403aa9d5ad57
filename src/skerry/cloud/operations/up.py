"""The verbs that change a cloud: up, plan, down."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from skerry.cloud.components.base.openstack import OpenStackRole
from skerry.cloud.components.libvirt.guests import Guests, remove_metadata_namespaces, remove_taps
from skerry.cloud.components.libvirt.hypervisor import Hypervisor
from skerry.cloud.components.openvswitch import guest_ports
from skerry.cloud.components.openvswitch.external_network import HostSide
from skerry.cloud.context import Context
from skerry.cloud.engine.lock import exclusive
from skerry.cloud.engine.step import Event, Graph, Run, Unknown
from skerry.cloud.hosts.join import Joined
from skerry.cloud.members import Members
from skerry.cloud.model import ports
from skerry.cloud.model.cloud_toml import documented_toml
from skerry.cloud.operations.graph import graph, roles, services
from skerry.cloud.operations.preflight import preflight
from skerry.cloud.resources import first_server
from skerry.common.errors import PackageError
from skerry.common.files import write_atomically

VIRTUAL = {"qemu": "QEMU's own translation (TCG)", "kvm": "KVM"}


@dataclass
class Summary:
    """What 'up' has to say at the end."""

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
        if self.ssh:
            lines += [
                f"  Server       {first_server.SERVER} at {self.server}",
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
    """What 'up' has to say on a host that another one has made a part of its cloud."""

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
    """Converge the cloud under ``root``, or this host's part of it; every step tells ``watch`` what it does.

    Raises PreflightError, BusyError, ConfigError, PackageError, StepError, NotReadyError.
    """
    begun = time.monotonic()
    ctx = Context.at(root)
    preflight(ctx)
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

        run = Run(steps, record)
        run.go()
        seconds = time.monotonic() - begun
        return _summary(ctx, run, seconds) if ctx.does("control") else JoinedSummary(ctx.host.name, seconds)


def _add_features(path: Path, features: Sequence[str]) -> None:
    wanted = "features = [" + ", ".join(f'"{name}"' for name in dict.fromkeys(features)) + "]"
    text = path.read_text()
    new, count = re.subn(r"(?m)^#?features\s*=\s*\[[^\]]*\]", wanted, text, count=1)
    write_atomically(path, new if count else f"{wanted}\n{text}")


def _summary(ctx: Context, run: Run, seconds: float) -> Summary:
    address = first_server.FirstServer(ctx).address() if ctx.cloud.first_server else None
    return Summary(
        seconds=round(seconds, 1),
        changed=sorted(run.changed),
        dashboard=ctx.url(ports.HORIZON, "/"),
        user="admin",
        password_in=str(ctx.secrets.path),
        clouds_yaml=str(ctx.layout.clouds_yaml),
        cloud=ctx.cloud.name,
        hypervisor=VIRTUAL[Hypervisor.decided(ctx)] if ctx.does("compute") else "each compute host's own",
        hypervisor_reason=Hypervisor.reason(ctx) if ctx.does("compute") else "'skerry doctor' tells",
        server=address,
        ssh=" ".join(first_server.ssh_command(ctx, address)) if address else None,
    )


@dataclass
class Plan:
    """What a run would change, step by step; ``later`` are steps that can only look once others have run."""

    changes: dict[str, list[str]]
    later: dict[str, str]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def render(self) -> str:
        if not self.changes and not self.later:
            return "Nothing would change."
        lines = []
        for title, changes in self.changes.items():
            lines += [title, *(f"    {change}" for change in changes)]
        if self.later:
            lines += [
                "To be looked at once those are done:",
                *(f"    {t} ({why})" for t, why in self.later.items()),
            ]
        return "\n".join(lines)


def plan(root: Path | str) -> Plan:
    """Ask every step what it would change. Nothing is touched; a changed configuration names what restarts."""
    ctx = Context.at(root)
    changes: dict[str, list[str]] = {}
    later: dict[str, str] = {}
    pending: dict[str, str] = {}  # step -> title of the first change that it waits for
    for step in graph(ctx).order:
        waits = next((pending[need] for need in step.needs if need in pending), None)
        if waits is not None and step.live:
            later[step.title] = f"after: {waits}"
            pending[step.name] = waits
            continue
        try:
            found = step.check()
        except (Unknown, OSError) as reason:
            later[step.title] = str(reason)
            continue
        if found or waits is not None:
            pending[step.name] = waits or step.title
        if found:
            changes[step.title] = [str(change) for change in found]
    return Plan(changes, later)


def down(root: Path | str, say: Callable[[str], None]) -> None:
    """Stop servers orderly and all services in the reverse of their order; data stays."""
    ctx = Context.at(root)
    with exclusive(ctx.layout, "down"):
        begun = time.monotonic()
        on_others(ctx, lambda host: ["down"], say)
        guests = stop_guests(ctx)
        if guests:
            say(f"{guests} servers were shut down; 'up' starts them again")
        remove_taps(ctx)
        stop_services(ctx, ctx.supervisor.stop)
        ctx.supervisor.end()
        remove_metadata_namespaces(ctx)
        HostSide(ctx).undo()
        guest_ports.remove_rules(ctx)
        say(f"down after {time.monotonic() - begun:.0f} s; data is in {ctx.layout.state}")


def on_others(ctx: Context, words: Callable[[Joined], list[str]], say: Callable[[str], None]) -> None:
    """Run one of Skerry's verbs on all hosts that have joined, at the same time."""
    hosts = [Joined(ctx, host) for host in Members(ctx).all().values()] if ctx.does("control") else []
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda host: host.tell(words(host), say), hosts))


def stop_services(ctx: Context, stop: Callable[[str], None]) -> None:
    """Stop OpenStack's services all at once, then what they stand on in the reverse of its order."""
    above = [s.name for role in roles(ctx) if isinstance(role, OpenStackRole) for s in role.services()]
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(stop, above))
    for service in reversed(services(ctx)):
        if service.name not in above:
            stop(service.name)


def stop_guests(ctx: Context, seconds: float = 20.0) -> int:
    """Ask all guests to power off and end those that have not after ``seconds``; returns how many there were.

    nova-compute goes first: seeing them stop it would take it for their users' wish, and not start them again.
    """
    ctx.supervisor.stop("nova-compute")
    return Guests(ctx).stop_all(seconds)
