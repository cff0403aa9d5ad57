"""Checks as data: facts in, findings out."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skerry.cloud.doctor.base import CannotLook, Check, Finding, Patient, Vital
from skerry.cloud.doctor.broker import unread
from skerry.cloud.doctor.database import connections
from skerry.cloud.doctor.examine import CheckRun, DoctorReport, _apart, _bounded
from skerry.cloud.doctor.hypervisor import fitness, strangers
from skerry.cloud.doctor.machine import GIB, jumped, room
from skerry.cloud.doctor.services import diagnose, exits
from skerry.cloud.supervise import Process
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import Service


def said(findings: Any) -> list[str]:
    return [f"{finding.severity}: {finding.what}" for finding in findings]


def queue(**facts: Any) -> dict[str, Any]:
    return {"name": "scheduler", "consumers": 1, "messages": 0, "type": "quorum", "state": "running", **facts}


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, None),
        ({"consumers": 0}, None),
        ({"consumers": 0, "messages": 30}, "warning: queue scheduler has 30 messages, and nobody reads it"),
        ({"consumers": 0, "messages": 30, "type": "stream"}, None),
        ({"messages": 5000}, "warning: queue scheduler has 5000 messages: its readers do not keep up"),
        ({"state": "down"}, "error: queue scheduler is down"),
    ],
)
def test_queues(facts: dict[str, Any], told: str | None) -> None:
    assert said(unread([queue(**facts)])) == ([told] if told else [])


@pytest.mark.parametrize(
    ("now", "most", "told"),
    [
        (60, 80, []),
        (350, 360, ["error: 350 of MariaDB's 400 connections are in use"]),
        (60, 400, ["warning: MariaDB has run out of its 400 connections before"]),
    ],
)
def test_connections(now: int, most: int, told: list[str]) -> None:
    assert said(connections(now, most, 400, {"nova": 30, "neutron": 20})) == told


@pytest.mark.parametrize(
    ("free", "total", "inodes", "told"),
    [
        (50, 100, 0.9, []),
        (0.5, 100, 0.9, ["error: the disk is full: 0.50 GiB are left at /x"]),
        (3, 100, 0.9, ["warning: the disk is almost full: 3.0 GiB are left at /x"]),
        (3, 20, 0.9, []),
        (0.4, 0.5, 0.9, []),
        (50, 100, 0.01, ["error: 1% of the inodes are left at /x"]),
    ],
)
def test_disks(free: float, total: float, inodes: float, told: list[str]) -> None:
    assert said(room(Path("/x"), int(free * GIB), int(total * GIB), inodes)) == told


@pytest.mark.parametrize(
    ("version", "virt", "told"),
    [
        ("10.0.2", "qemu", ["note: guests run translated (TCG), several times slower than with KVM"]),
        ("7.2.13", "kvm", []),
        (
            "7.2.13",
            "qemu",
            [
                "warning: QEMU 7.2 translates guests (TCG), and its live migration damages busy ones",
                "note: guests run translated (TCG), several times slower than with KVM",
            ],
        ),
    ],
)
def test_qemu(version: str, virt: str, told: list[str]) -> None:
    assert said(fitness(f"Running hypervisor: QEMU {version}\n", virt, "why")) == told


def test_guests_that_only_one_side_knows() -> None:
    findings = list(
        strangers({"a": "instance-1", "b": "instance-2"}, {"a": ("web", "ACTIVE"), "c": ("db", "SHUTOFF")})
    )
    assert said(findings) == [
        "warning: libvirt has a guest instance-2 that nova does not know",
        "error: server db is SHUTOFF for nova, but libvirt has no such guest",
    ]
    assert list(strangers({}, {"d": ("new", "BUILD"), "e": ("old", "ERROR")})) == []


@pytest.mark.parametrize(
    ("jumps", "told"),
    [
        ([], []),
        ([0.1, -0.5, 0.3], []),
        (
            [3600.0, 3600.2, 0.0],
            ["warning: the clock was set forward by about 3600 s while the services ran"],
        ),
        ([-90.0, -90.0, -89.0], ["warning: the clock was set back by about 90 s while the services ran"]),
    ],
)
def test_clocks(jumps: list[float], told: list[str]) -> None:
    assert said(jumped(jumps)) == told


RECORD = """\
2026-11-20 13:20:18,681 WARN exited: neutron-api (exit status 22; not expected)
2026-11-20 13:20:19,000 INFO reaped unknown pid 2899 (exit status 0)
2026-11-20 13:20:19,718 INFO gave up: horizon entered FATAL state, too many start retries too quickly
2026-11-20 13:47:52,825 INFO exited: libvirtd (exit status 0; expected)
2026-11-20 13:48:00,000 INFO stopped: nova-api (exit status 0)
"""


def test_ends_in_the_supervisors_record() -> None:
    assert exits(RECORD, 0.0) == [
        ("neutron-api", "13:20:18", "exit status 22"),
        ("horizon", "13:20:19", "gave up starting it"),
        ("libvirtd", "13:47:52", "exit status 0"),
    ]
    assert exits(RECORD, time.time() + 1e9) == []


def vital(**facts: Any) -> Vital:
    service = Service(
        "nova-api", ("/bin/true",), TcpProbe(1), title="servers", after=("start:mariadb", "create:nova")
    )
    process = Process(
        "nova-api", facts.pop("state", "running"), facts.pop("pid", 4711), facts.pop("since", 0.0)
    )
    return Vital(service, process, facts.pop("lack", None), facts.pop("stopped", False))


def context(last: str = "") -> Any:
    return SimpleNamespace(
        supervisor=SimpleNamespace(
            last_line=lambda name: last, log_path=lambda name: Path("/nowhere"), name="direct"
        ),
        layout=SimpleNamespace(log=Path("/nowhere")),
    )


@pytest.mark.parametrize(
    ("facts", "told", "fixable"),
    [
        ({"pid": 0, "state": "stopped"}, "error: nova-api (servers) does not run", True),
        ({"pid": 0, "state": "failed"}, "error: nova-api (servers) ends again and again", True),
        ({"stopped": True}, "error: nova-api was stopped by a signal: it exists, but does not run", True),
        ({"lack": "no answer"}, "error: nova-api (servers) is not ready: no answer", True),
        (
            {"lack": "no answer", "since": time.time()},
            "warning: nova-api (servers) is still starting: no answer",
            False,
        ),
    ],
)
def test_services(facts: dict[str, Any], told: str, fixable: bool) -> None:
    finding = diagnose(context(), vital(**facts), [])
    assert said([finding]) == [told]
    assert (finding.fix is not None) is fixable
    assert finding.remedy


def test_a_service_that_waits_for_another_is_not_restarted_for_it() -> None:
    finding = diagnose(context(), vital(lack="no answer"), ["mariadb"])
    assert finding.fix is None
    assert any("mariadb" in text for text in finding.evidence)


class Given(Check):
    name = "given"
    message = remedy = "Do this."
    seconds = 0.2

    def __init__(self, work: Any, needs: tuple[str, ...] = ()) -> None:
        self.work, self.needs = work, needs

    def findings(self, patient: Patient) -> Any:
        return self.work()


def unable() -> Any:
    raise CannotLook("no tool")


def broken() -> Any:
    raise KeyError("x")


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (Given(unable), "no tool"),
        (Given(broken), "KeyError: 'x'"),
        (Given(lambda: time.sleep(0.5) or []), "no answer within 0 s"),
        (Given(list, needs=("mariadb",)), "mariadb does not run"),
        (Given(list), None),
    ],
)
def test_a_check_that_cannot_look_says_so(check: Check, told: str | None) -> None:
    patient = Patient(context(), {"nova-api": vital()}, True)
    assert _bounded(check, patient)[1].unable == told


def test_findings_get_the_checks_name_and_remedy() -> None:
    patient = Patient(context(), {}, True)
    (finding,), look = _bounded(Given(lambda: [Finding("error", "bad")]), patient)
    assert (finding.check, finding.remedy, finding.means, look.unable) == (
        "given",
        "Do this.",
        "Do this.",
        None,
    )


def test_a_cloud_that_is_down_is_not_asked() -> None:
    assert _bounded(Given(list), Patient(context(), {}, False))[1].unable == "the cloud is down"


def test_notes_alone_are_health() -> None:
    assert DoctorReport([Finding("note", "x")], [], 1.0).healthy
    report = DoctorReport(
        [Finding("error", "x", ("y",), "z", lambda: "done")], [CheckRun("a", 0.1, "why")], 1.0
    )
    assert not report.healthy
    text = report.render()
    assert (
        "ERROR    x" in text and "to do: z" in text and "--fix" in text and "not looked at: a (why)" in text
    )
    assert '"fixable": true' in report.to_json()


def test_the_same_fix_is_done_once() -> None:
    def restart(name: str) -> str:
        return name

    findings = [
        Finding("error", what, fix=partial(restart, name))
        for what, name in (("a", "x"), ("b", "x"), ("c", "y"))
    ]
    assert [finding.what for finding in _apart([*findings, Finding("note", "d")])] == ["a", "c"]
