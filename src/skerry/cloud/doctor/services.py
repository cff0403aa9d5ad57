"""Services that are dead, hang, flap, or run with an old configuration."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from functools import partial

from skerry.cloud.context import Context
from skerry.cloud.doctor.base import CannotLook, Check, Finding, Patient, Vital
from skerry.cloud.doctor.logs import tail
from skerry.cloud.doctor.trace import FAILED, exception, parse_line, shorten

RECENT = 600.0  # seconds in which ends of a service count as flapping
FLAPS = 3
_EXIT = re.compile(
    r"^(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ (?:INFO|WARN) "
    r"(?:exited: (?P<name>\S+) \((?P<how>.+?)(?:; (?:not )?expected)?\)|gave up: (?P<gave>\S+))"
)


class ServicesUp(Check):
    """Every service runs and its probe is content."""

    name = "services-up"
    message = "A service that others depend on does not answer."
    remedy = "Look at its last words with 'skerry logs SERVICE'; 'skerry up' starts what is missing."
    when_down = True

    def findings(self, patient: Patient) -> Iterable[Finding]:
        if not patient.supervised:
            yield Finding(
                "error",
                "The cloud is down: its supervisor does not run",
                remedy="Run 'skerry up': everything comes back with its data.",
            )
            return
        broken = {name for name, vital in patient.vitals.items() if vital.missing or vital.stopped}
        for name, vital in patient.vitals.items():
            if name in broken:
                below = [need.removeprefix("start:") for need in vital.service.after]
                yield diagnose(patient.ctx, vital, [need for need in below if need in broken])


def words(ctx: Context, name: str) -> tuple[str, ...]:
    """The last error in a service's log that is of use, as evidence; empty without any."""
    lines = tail(ctx.supervisor.log_path(name), 2**18)
    for number in range(len(lines), 0, -1):
        line = parse_line(name, number, lines[number - 1])
        if line is not None and line.level in FAILED and line.context:
            ended = exception(line, lines)
            said = shorten(line.text, 120) + (
                f" ({shorten(ended, 120)})" if ended and ended not in line.text else ""
            )
            return (f"{line.place}, {line.time[:19]}: {said}",)
    last = ctx.supervisor.last_line(name)
    return (f"its log: {last}",) if last else ()


def diagnose(ctx: Context, vital: Vital, causes: list[str]) -> Finding:
    """What is wrong with one service that is not ready; ``causes`` are broken services that it depends on."""
    service, process = vital.service, vital.process
    evidence = list(words(ctx, service.name))
    if causes:
        evidence.append(f"it depends on what is broken too: first fix {', '.join(causes)}")
    logs = f"Look at 'skerry logs {service.name}'"
    if vital.stopped:
        return Finding(
            "error",
            f"{service.name} was stopped by a signal: it exists, but does not run",
            (f"process {process.pid} is in state T", *evidence),
            f"Let it continue: kill -CONT {process.pid}.",
            partial(_go_on, service.name, process.pid),
        )
    if not process.pid:
        state = "ends again and again" if process.state in ("failing", "failed") else "does not run"
        detail = [process.detail] if process.detail else []
        return Finding(
            "error",
            f"{service.name} ({service.title}) {state}",
            (*detail, *evidence),
            f"{logs}, then start it: 'skerry up'.",
            partial(_start, ctx, vital),
        )
    age = time.time() - process.since
    young = age < service.ready_seconds
    return Finding(
        "warning" if young else "error",
        f"{service.name} ({service.title}) is {'still starting' if young else 'not ready'}: {vital.missing}",
        (f"it runs since {age:.0f} s; {service.ready_seconds} s are the most it should take", *evidence),
        "Wait a moment and look again." if young else f"{logs}, then restart it.",
        None if young or causes else partial(_start, ctx, vital),
    )


def _start(ctx: Context, vital: Vital) -> str:
    ctx.supervisor.install(vital.service)
    ctx.supervisor.start(vital.service)
    return f"{'restarted' if vital.process.pid else 'started'} {vital.service.name}"


def _go_on(name: str, pid: int) -> str:
    os.kill(pid, signal.SIGCONT)
    return f"let {name} (process {pid}) continue"


class ServicesSteady(Check):
    """No service has ended by itself lately."""

    name = "services-steady"
    message = "The supervisor had to start a service again."
    remedy = "The lines before its end show why: 'skerry logs SERVICE'."

    def findings(self, patient: Patient) -> Iterable[Finding]:
        path = patient.ctx.layout.log / "supervisord.log"
        if patient.ctx.supervisor.name != "direct":
            raise CannotLook("systemd keeps the record: systemctl status 'skerry-*'")
        text = path.read_text(errors="replace")[-200_000:] if path.exists() else ""
        ends = exits(text, time.time() - RECENT)
        for name, count in Counter(name for name, _, _ in ends).items():
            own = [f"{at}: {how}" for who, at, how in ends if who == name]
            flaps = count >= FLAPS
            often = f"ended {count} times" if flaps else "ended by itself"
            yield Finding(
                "warning" if flaps else "note",
                f"{name} {often} within the last {RECENT / 60:.0f} minutes, and was started again",
                tuple(own[-3:]),
                f"The lines before its end show why: 'skerry logs {name}'.",
            )


def exits(text: str, after: float) -> list[tuple[str, str, str]]:
    """Ends that nobody asked for, in supervisord's log: name, time, how. ``after`` is in epoch seconds."""
    found = []
    for line in text.splitlines():
        match = _EXIT.match(line)
        if match and datetime.strptime(match["at"], "%Y-%m-%d %H:%M:%S").timestamp() >= after:
            found.append(
                (match["name"] or match["gave"], match["at"][11:], match["how"] or "gave up starting it")
            )
    return found


class ServicesUpToDate(Check):
    """Every service runs with the configuration that it should have."""

    name = "services-up-to-date"
    message = "A service runs with an older configuration than the one that is described."
    remedy = "'skerry plan' shows what would change; 'skerry up' does it."

    def findings(self, patient: Patient) -> Iterable[Finding]:
        old = [
            name
            for name, vital in patient.vitals.items()
            if vital.process.pid and vital.process.fingerprint != vital.service.fingerprint
        ]
        if old:
            yield Finding(
                "warning", f"{len(old)} services run with an older configuration", (", ".join(old),)
            )
