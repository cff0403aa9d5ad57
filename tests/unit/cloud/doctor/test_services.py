"""Services: what is said of one that does not run, or is not ready."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.support.samples.doctor import context, said, vital

from skerry.cloud.doctor.services import diagnose, exits

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


JUST_NOW = object()


@pytest.mark.parametrize(
    ("facts", "told", "fixable"),
    [
        ({"pid": 0, "state": "stopped"}, "error: nova-api (servers) does not run", True),
        ({"pid": 0, "state": "failed"}, "error: nova-api (servers) ends again and again", True),
        ({"stopped": True}, "error: nova-api was stopped by a signal: it exists, but does not run", True),
        ({"missing": "no answer"}, "error: nova-api (servers) is not ready: no answer", True),
        (
            {"missing": "no answer", "since": JUST_NOW},
            "warning: nova-api (servers) is still starting: no answer",
            False,
        ),
    ],
)
def test_services(facts: dict[str, Any], told: str, fixable: bool) -> None:
    # A run of all tests may come here long after it has collected them.
    facts = {name: time.time() if fact is JUST_NOW else fact for name, fact in facts.items()}
    finding = diagnose(context(), vital(**facts), [])
    assert said([finding]) == [told]
    assert (finding.fix is not None) is fixable
    assert finding.remedy


def test_a_service_that_waits_for_another_is_not_restarted_for_it() -> None:
    finding = diagnose(context(), vital(missing="no answer"), ["mariadb"])
    assert finding.fix is None
    assert any("mariadb" in text for text in finding.evidence)
