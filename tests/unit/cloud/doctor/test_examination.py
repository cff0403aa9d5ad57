"""An examination: checks that cannot look, findings, the report."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest
from tests.support.samples.doctor import context, vital

from skerry.cloud.doctor.base import CannotLook, Check, Finding, Patient
from skerry.cloud.doctor.examination import CheckRun, DoctorReport, _apart, _bounded


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


def slow() -> Any:
    time.sleep(0.5)
    return []


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (Given(unable), "no tool"),
        (Given(broken), "KeyError: 'x'"),
        (Given(slow), "no answer within 0 s"),
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
