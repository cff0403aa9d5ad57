"""The examination: the services first, then all checks at the same time, each with a limit."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import psutil

from skerry.cloud.context import Context
from skerry.cloud.doctor.agents import ComputeAlive, HostsUsable, MetadataProxies, NetworkAgentsAlive
from skerry.cloud.doctor.base import ORDER, CannotLook, Check, Finding, Patient, Vital
from skerry.cloud.doctor.broker import BrokerAlarms, BrokerLogin, QueuesRead
from skerry.cloud.doctor.database import DatabaseAccounts, DatabaseConnections
from skerry.cloud.doctor.files import PrivateFiles, ValidOptions
from skerry.cloud.doctor.hypervisor import GuestsKnown, HypervisorAnswers, HypervisorFit
from skerry.cloud.doctor.images import ImageContents
from skerry.cloud.doctor.machine import ClockJumps, DiskSpace, HostIdentity, LeftOvers, Memory, PortsOwn
from skerry.cloud.doctor.network import ForwardingAllowed, HostNetwork, PortsLimited
from skerry.cloud.doctor.servers import ServersBooting, ServersInError
from skerry.cloud.doctor.services import ServicesSteady, ServicesUp, ServicesUpToDate
from skerry.cloud.doctor.upkeep import UpkeepDone
from skerry.cloud.engine.lock import exclusive
from skerry.cloud.hosts.join import Joined
from skerry.cloud.model.cloud_toml import Host
from skerry.cloud.model.layout import Layout
from skerry.cloud.operations.graph import services
from skerry.cloud.supervise import Process
from skerry.cloud.supervise.service import Service
from skerry.common import interrupt
from skerry.common.errors import BusyError, NotReadyError, PreflightError, SkerryError
from skerry.common.wait import wait_for

TAKES_EFFECT = 60.0  # seconds of an idle machine, for a repair

CHECKS: tuple[Check, ...] = (
    ServicesUp(),
    ServicesSteady(),
    ServicesUpToDate(),
    BrokerLogin(),
    BrokerAlarms(),
    QueuesRead(),
    DatabaseConnections(),
    DatabaseAccounts(),
    ComputeAlive(),
    HostsUsable(),
    NetworkAgentsAlive(),
    MetadataProxies(),
    HypervisorAnswers(),
    GuestsKnown(),
    HypervisorFit(),
    DiskSpace(),
    Memory(),
    ClockJumps(),
    HostIdentity(),
    PortsOwn(),
    LeftOvers(),
    HostNetwork(),
    PortsLimited(),
    ForwardingAllowed(),
    PrivateFiles(),
    ValidOptions(),
    ServersInError(),
    ServersBooting(),
    ImageContents(),
    UpkeepDone(),
)


@dataclass(frozen=True)
class CheckRun:
    """How one check went; ``unable`` is why it could not look."""

    check: str
    seconds: float
    unable: str | None = None


@dataclass
class DoctorReport:
    """What an examination found, the worst first, and what ``--fix`` did."""

    findings: list[Finding]
    looks: list[CheckRun]
    seconds: float
    done: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Notes alone are no illness."""
        return all(finding.severity == "note" for finding in self.findings)

    def to_json(self) -> str:
        data = {
            "healthy": self.healthy,
            "seconds": round(self.seconds, 1),
            "findings": [finding.to_dict() for finding in self.findings],
            "checks": [look.__dict__ for look in self.looks],
            "done": self.done,
        }
        return json.dumps(data, indent=2)

    def render(self) -> str:
        lines: list[str] = [f"did: {text}" for text in self.done]
        lines += [""] if self.done else []
        for finding in self.findings:
            lines.append(f"{finding.severity.upper():<8} {finding.what}")
            lines += [f"           {text}" for text in finding.evidence]
            if finding.means and finding.severity != "note":
                lines.append(f"    means: {finding.means}")
            if finding.remedy:
                by_fix = "  ('skerry doctor --fix' does it)" if finding.fix else ""
                lines.append(f"    to do: {finding.remedy}{by_fix}")
            lines.append("")
        lines += [f"not looked at: {look.check} ({look.unable})" for look in self.looks if look.unable]
        looked = sum(not look.unable for look in self.looks)
        wrong = sum(finding.severity != "note" for finding in self.findings)
        verdict = "nothing is wrong" if not wrong else f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong"
        lines.append(f"{looked} of {len(self.looks)} checks looked, in {self.seconds:.1f} s: {verdict}.")
        return "\n".join(lines)


def at_work(layout: Layout) -> Finding | None:
    """A note when another run changes the cloud right now: what is half-way may look broken."""
    try:
        with exclusive(layout, "doctor", wait=0):
            return None
    except BusyError as busy:
        verb, pid, since = busy.args
        return Finding(
            "note", f"{verb} (process {pid}) works on this cloud since {since}: look again when it has ended"
        )
    except PreflightError:
        return None


def examine(root: Path | str, *, fix: bool = False, checks: Sequence[Check] = CHECKS) -> DoctorReport:
    """Look at the cloud under ``root``; with ``fix`` do what is safe, and look again.

    Raises ConfigError for a wrong cloud.toml, NotFoundError when there is no cloud, BusyError when there is
    something to fix while another run works on the cloud.
    """
    started = time.monotonic()
    ctx = Context.existing(root)
    busy = at_work(ctx.layout)
    findings, looks = _look(ctx, checks)
    done: list[str] = []
    if fix and any(finding.fix for finding in findings):
        with exclusive(ctx.layout, "doctor --fix"):
            done = [_repair(finding) for finding in _apart(findings)]
            _settle(ctx)
        findings, looks = _look_again(ctx, checks, {finding.what for finding in findings if finding.fix})
    elif busy is not None:
        findings.append(busy)
    if ctx.leads:
        with ThreadPoolExecutor(8, thread_name_prefix="host") as pool:
            for found in pool.map(lambda host: _elsewhere(ctx, host, fix), ctx.cloud.others):
                findings += found
    findings.sort(key=lambda finding: ORDER[finding.severity])
    return DoctorReport(findings, looks, time.monotonic() - started, done)


def _elsewhere(ctx: Context, host: Host, fix: bool) -> list[Finding]:
    """What the doctor of another host finds there."""
    try:
        told = Joined(ctx, host).doctor(fix)
    except SkerryError as error:
        remedy = "See that it runs, and that it can be reached; then 'skerry up'."
        return [Finding("error", f"host {host.name} does not answer: {error}", remedy=remedy, check="host")]
    names = ("severity", "means", "remedy", "check")
    return [
        Finding(
            what=f"{host.name}: {row['what']}", evidence=tuple(row["evidence"]), **{n: row[n] for n in names}
        )
        for row in told
    ]


def _apart(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with a fix, one for each fix: the same restart may fix two."""
    found: list[tuple[object, Finding]] = []
    for finding in findings:
        fix = finding.fix
        key = (fix.func, fix.args) if isinstance(fix, partial) else fix
        if fix is not None and key not in [other for other, _ in found]:
            found.append((key, finding))
    return [finding for _, finding in found]


def _repair(finding: Finding) -> str:
    assert finding.fix is not None
    try:
        return finding.fix()
    except Exception as error:  # one fix that fails must not keep the others from being tried
        return f"could not fix '{finding.what}': {error}"


def _settle(ctx: Context) -> None:
    """Wait for services that were just started, so that the second look sees what came of it."""

    def missing() -> str | None:
        return next((vital.missing for vital in take_vitals(ctx).values() if vital.missing), None)

    with suppress(NotReadyError):  # the second look finds what does not come
        wait_for("the services", missing, TAKES_EFFECT, 1.0)


def _look(ctx: Context, checks: Sequence[Check]) -> tuple[list[Finding], list[CheckRun]]:
    vitals = take_vitals(ctx)
    patient = Patient(ctx, vitals, ctx.supervisor.running())
    checks = [check for check in checks if vitals.keys() >= {*check.needs, *check.of}]
    with ThreadPoolExecutor(8, thread_name_prefix="check") as pool:
        results = list(pool.map(lambda check: _bounded(check, patient), checks))
    findings = [finding for found, _ in results for finding in found]
    return findings, [look for _, look in results]


def _look_again(
    ctx: Context, checks: Sequence[Check], repaired: set[str]
) -> tuple[list[Finding], list[CheckRun]]:
    """What is found once nothing of the ``repaired`` is, or they have had their time.

    What a restart brings back (a metadata proxy, a mark in placement) comes after the service's probe answers.
    """
    found: list[Finding] = []
    looks: list[CheckRun] = []

    def left() -> str | None:
        found[:], looks[:] = _look(ctx, checks)
        return ", ".join(sorted(repaired & {finding.what for finding in found})) or None

    with suppress(NotReadyError):  # what is left is in the findings
        wait_for("what was repaired", left, TAKES_EFFECT, 2.0)
    return found, looks


def take_vitals(ctx: Context) -> dict[str, Vital]:
    """Every service with its process and what its probe misses; the probes ask at the same time."""
    processes = ctx.supervisor.processes()

    def vital(service: Service) -> Vital:
        process = processes.get(service.name, Process(service.name, "stopped"))
        missing = service.ready.missing(process.pid) if process.pid else "it does not run"
        return Vital(service, process, missing, _is_stopped(process.pid))

    every = services(ctx)
    with ThreadPoolExecutor(8, thread_name_prefix="vital") as pool:
        return {vital.service.name: vital for vital in pool.map(vital, every)}


def _is_stopped(pid: int) -> bool:
    try:
        return bool(pid) and psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def _bounded(check: Check, patient: Patient) -> tuple[list[Finding], CheckRun]:
    """What one check finds within its limit; a thread that hangs is left behind."""
    started = time.monotonic()
    if not patient.supervised and not check.when_down:
        return [], CheckRun(check.name, 0.0, "the cloud is down")
    missing = patient.unmet(check.needs)
    if missing:
        return [], CheckRun(check.name, 0.0, missing)
    found: list[Finding] = []
    unable: list[str] = []

    def work() -> None:
        try:
            found.extend(_named(check, check.findings(patient)))
        except CannotLook as reason:
            unable.append(str(reason))
        except Exception as error:  # a check that breaks is one that could not look
            said = str(error).splitlines()
            unable.append(f"{type(error).__name__}: {said[0][:160] if said else ''}")

    thread = threading.Thread(target=work, name=f"doctor-{check.name}", daemon=True)
    thread.start()
    while thread.is_alive() and time.monotonic() - started < check.seconds:
        interrupt.check()
        thread.join(min(0.2, check.seconds))
    seconds = round(time.monotonic() - started, 2)
    if thread.is_alive():
        return [], CheckRun(check.name, seconds, f"no answer within {check.seconds:.0f} s")
    return list(found), CheckRun(check.name, seconds, unable[0] if unable else None)


def _named(check: Check, findings: Iterable[Finding]) -> Iterable[Finding]:
    for finding in findings:
        remedy = finding.remedy or check.remedy
        yield replace(finding, check=check.name, means=check.message, remedy=remedy)
