"""The machine under the cloud: disk, memory, clock, ports, processes."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pymysql

from skerry.cloud.doctor.base import Check, Finding, Patient
from skerry.cloud.model.layout import Layout
from skerry.cloud.operations.preflight import IDENTITY, PortsFree
from skerry.cloud.steps import reserve
from skerry.cloud.steps.database import connect
from skerry.cloud.supervise.process_marks import service_of

GIB = 2**30
CLOCKS = ("chronyd", "ntpd", "systemd-timesyncd", "openntpd", "systemd-timesyn")


class DiskSpace(Check):
    """There is room where the cloud writes."""

    name = "disk-space"
    message = "A full disk stops the database, the broker and every guest that writes."
    when_down = True

    def findings(self, patient: Patient) -> Iterable[Finding]:
        layout, seen = patient.ctx.layout, set()
        for place in (layout.state, layout.log, layout.cache, layout.run):
            if not place.exists() or place.stat().st_dev in seen:
                continue
            seen.add(place.stat().st_dev)
            usage, inodes = shutil.disk_usage(place), os.statvfs(place)
            share = inodes.f_favail / inodes.f_files if inodes.f_files else 1.0
            for finding in room(place, usage.free, usage.total, share):
                has_reserve = reserve.held(layout) and place.stat().st_dev == layout.state.stat().st_dev
                if finding.severity == "error" and has_reserve and usage.free < reserve.FULL:
                    finding = replace(finding, fix=partial(_free_reserve, layout))
                yield finding


def _free_reserve(layout: Layout) -> str:
    freed = reserve.free(layout) >> 20
    return f"freed the {freed} MiB that were kept for this; now delete what nobody needs, before they are used up"


def room(place: Path, free: int, total: int, inodes: float) -> Iterable[Finding]:
    """Findings for a file system with ``free`` of ``total`` bytes, and a share of its inodes, left."""
    remedy = "Delete servers, images or snapshots that nobody needs, or give the file system more room."
    small = total < 4 * GIB  # /run is small by nature
    if free < (0.03 * total if small else 1 * GIB):
        yield Finding("error", f"the disk is full: {free / GIB:.2f} GiB are left at {place}", remedy=remedy)
    elif free < (0.1 * total if small else min(5 * GIB, 0.1 * total)):
        yield Finding(
            "warning", f"the disk is almost full: {free / GIB:.1f} GiB are left at {place}", remedy=remedy
        )
    if inodes < 0.03:
        yield Finding(
            "error",
            f"{inodes:.0%} of the inodes are left at {place}",
            remedy="Find the folder with the many files there.",
        )


class Memory(Check):
    """There is memory left, and the kernel has not ended anyone for want of it."""

    name = "memory"
    message = "With no memory left the kernel ends the largest process: a guest, or the database."
    when_down = True

    def findings(self, patient: Patient) -> Iterable[Finding]:
        free = psutil.virtual_memory()
        if free.available < 300 * 2**20:
            yield Finding(
                "error" if free.available < 100 * 2**20 else "warning",
                f"{free.available / 2**20:.0f} MiB of {free.total / GIB:.1f} GiB of memory are left",
                _largest(),
                "Stop or delete a server, or give the machine more memory.",
            )
        for text in patient.ctx.platform.killed_for_memory()[-3:]:
            yield Finding(
                "warning",
                f"the kernel ended {text} for want of memory",
                remedy="Give the machine more memory.",
            )


def _largest() -> tuple[str, ...]:
    rows = [p.info for p in psutil.process_iter(["name", "pid", "memory_info"]) if p.info["memory_info"]]
    rows.sort(key=lambda row: -row["memory_info"].rss)
    return tuple(
        f"{row['name']} ({row['pid']}): {row['memory_info'].rss / 2**20:.0f} MiB" for row in rows[:3]
    )


class ClockJumps(Check):
    """The clock has not jumped since the services began, and somebody keeps it right."""

    name = "clock"
    message = "Heartbeats and tokens are judged by the clock: after a jump back the dead look alive."
    remedy = "Set the clock right, then restart what counts by it: 'skerry down' and 'skerry up'."

    def findings(self, patient: Patient) -> Iterable[Finding]:
        began = [
            (v.process.since, v.process.pid)
            for v in patient.vitals.values()
            if v.process.pid and v.process.since
        ]
        jumps = []
        for since, pid in began:
            try:
                # The kernel counts from the boot: put on today's clock, a start moves with the clock.
                jumps.append(psutil.Process(pid).create_time() - since)
            except psutil.NoSuchProcess:
                continue
        yield from jumped(jumps)
        vital = patient.vitals.get("mariadb")
        if vital and vital.process.pid:
            yield from self._heartbeats(patient)
        names = {process.info["name"] for process in psutil.process_iter(["name"])}
        if not names & set(CLOCKS):
            yield Finding(
                "note",
                "nobody keeps the clock of this machine (no NTP)",
                remedy=f"On a machine that stays up: {patient.ctx.platform.packages.install_command('chrony')}.",
            )

    def _heartbeats(self, patient: Patient) -> Iterable[Finding]:
        try:
            with connect(patient.ctx, database="nova") as root, root.cursor() as cursor:
                cursor.execute("select max(updated_at), utc_timestamp() from services where deleted = 0")
                last, now = cursor.fetchone()
                cursor.execute("select unix_timestamp(now(6))")
                difference = float(cursor.fetchone()[0]) - time.time()
        except pymysql.err.MySQLError:
            return  # other checks report what is wrong with the database
        if abs(difference) > 2:
            yield Finding("error", f"the database's clock differs from this machine's by {difference:+.0f} s")
        if last is not None and (last - now).total_seconds() > 30:
            yield Finding(
                "error", f"nova has heartbeats from the future ({last} UTC): the clock was set back"
            )


def jumped(jumps: Sequence[float]) -> Iterable[Finding]:
    """A finding when starts of processes and the clock disagree (in seconds; positive: it went forward)."""
    if not jumps:
        return
    middle = sorted(jumps)[len(jumps) // 2]
    if abs(middle) > 10:
        way = "forward" if middle > 0 else "back"
        yield Finding(
            "warning", f"the clock was set {way} by about {abs(middle):.0f} s while the services ran"
        )


class HostIdentity(Check):
    """This machine is the host that the cloud knows, by name and address."""

    name = "host-identity"
    message = "Other hosts do not find it, or nova takes it for a second host."
    when_down = True

    def findings(self, patient: Patient) -> Iterable[Finding]:
        ctx = patient.ctx
        for check in IDENTITY:
            if problem := check.problem(ctx):
                yield Finding("error", problem, remedy=check.remedy)
        called = socket.gethostname().split(".")[0]
        if called != ctx.host.name and len(ctx.cloud.host) == 1:
            yield Finding(
                "note", f"the machine is called {called} now, and stays host {ctx.host.name} of the cloud"
            )


class PortsOwn(Check):
    """The cloud's ports are the cloud's."""

    name = "ports"
    message = "Another program has a port that a service of the cloud needs."
    remedy = PortsFree.remedy
    when_down = True

    def findings(self, patient: Patient) -> Iterable[Finding]:
        problem = PortsFree().problem(patient.ctx)
        if problem:
            yield Finding("error", problem)


class LeftOvers(Check):
    """Nothing is left of services' earlier lives."""

    name = "left-overs"
    message = "What an earlier run of a service left behind may hold its port, its lock or its queue."

    def findings(self, patient: Patient) -> Iterable[Finding]:
        kept = {name for name, vital in patient.vitals.items() if vital.service.keeps_children}
        starts: dict[str, float] = {}
        for own, vital in patient.vitals.items():
            if vital.process.pid:
                try:
                    starts[own] = psutil.Process(vital.process.pid).create_time()
                except psutil.NoSuchProcess:
                    continue
        for pid in psutil.pids():
            name = service_of(pid, patient.ctx.layout)
            if name is None or name in kept or (name in patient.vitals and name not in starts):
                continue  # none of ours, kept on purpose, or without a process to compare with
            try:
                process = psutil.Process(pid)
                old = name not in starts or process.create_time() < starts[name] - 2
                if not old or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                what = f"process {pid} ({process.name()}) is left of an earlier run of {name}"
            except psutil.NoSuchProcess:
                continue
            remedy = f"End it: kill {pid}."
            yield Finding("warning", what, fix=partial(_end, pid, name), remedy=remedy)


def _end(pid: int, name: str) -> str:
    process = psutil.Process(pid)
    process.terminate()
    psutil.wait_procs([process], timeout=5)
    return f"ended process {pid}, left of {name}"
