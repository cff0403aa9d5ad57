"""The tracer on logs of a real cloud (trimmed): servers that failed for reasons in other services."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.cloud.doctor.logs import tail
from skerry.cloud.doctor.servers import explain
from skerry.cloud.doctor.trace import exception, first_cause, follow, host_lost, parse_line, shorten

LOGS = {path.stem: path.read_text().splitlines() for path in (Path(__file__).parent / "logs").glob("*.log")}
NO_HOST = "req-056a30b0-29d2-4b2f-838e-33392706d8d4"  # libvirt had just been lost
BAD_IMAGE = "req-17556215-b5a7-4c11-a663-83c4e908f715"  # the image asked for a machine type that is not there
SERVER = "4519c654-7c03-4d6a-b96a-6b3e766d1fc2"


@pytest.mark.parametrize(
    ("text", "level", "ids", "instance"),
    [
        (
            f"2026-11-20 13:48:26.424 32594 ERROR nova.x [None {NO_HOST} u p - - default default] It broke",
            "ERROR",
            (NO_HOST,),
            "",
        ),
        (
            f"2026-11-20 13:48:26.424 1 INFO a.b [{NO_HOST} {BAD_IMAGE} u p - -] It broke",
            "INFO",
            (NO_HOST, BAD_IMAGE),
            "",
        ),
        (f"2026-11-20 13:48:26.424 1 WARNING a.b [-] [instance: {SERVER}] It broke", "WARNING", (), SERVER),
    ],
)
def test_lines_of_oslo_log(text: str, level: str, ids: tuple[str, ...], instance: str) -> None:
    line = parse_line("nova-api", 7, text)
    assert line is not None
    assert (line.level, line.ids, line.instance, line.text) == (level, ids, instance, "It broke")
    assert line.place == "nova-api.log line 7"


@pytest.mark.parametrize("text", ["", "Traceback (most recent call last):", "*** uWSGI is running ***"])
def test_other_lines_are_none(text: str) -> None:
    assert parse_line("nova-api", 1, text) is None


def test_a_request_is_followed_through_all_services_in_time_order() -> None:
    lines = follow(BAD_IMAGE, LOGS, SERVER)
    assert {line.service for line in lines} >= {
        "nova-api",
        "nova-compute",
        "nova-conductor",
        "placement",
        "neutron-api",
    }
    assert [line.time for line in lines] == sorted(line.time for line in lines)


def test_ids_of_other_services_for_the_request_belong_to_it() -> None:
    own = "req-b58c426d-9eab-44fd-8776-6db416901031"  # neutron's, for the same request
    assert any(own in line.ids and BAD_IMAGE in line.ids for line in follow(BAD_IMAGE, LOGS))


def test_the_first_cause_is_the_exception_and_not_what_came_of_it() -> None:
    cause = first_cause(BAD_IMAGE, LOGS, SERVER)
    assert cause is not None
    assert cause.line.service == "nova-compute"
    assert "machine type" in cause.sentence and "nosuch-1.0" in cause.sentence
    assert "13:53:33" in cause.sentence and cause.line.place in cause.sentence
    assert "hw_machine_type" in cause.remedy
    assert any(line.service == "nova-conductor" for line in cause.trail)


def test_a_host_that_lost_libvirt_is_behind_no_valid_host() -> None:
    cause = first_cause(NO_HOST, LOGS)
    assert cause is not None
    assert cause.line.service == "nova-compute"
    assert "lost libvirt" in cause.sentence and "13:47:52" in cause.sentence
    assert any("allocation candidates" in line.text for line in cause.trail)


def test_without_a_lost_host_it_is_told_what_was_asked_for() -> None:
    logs = {name: lines for name, lines in LOGS.items() if name != "nova-compute"}
    cause = first_cause(NO_HOST, logs)
    assert cause is not None
    assert cause.line.service == "nova-scheduler" and "no host had room" in cause.sentence
    assert "MEMORY_MB 128" in cause.sentence


def test_a_host_that_came_back_is_not_lost() -> None:
    assert host_lost(LOGS["nova-compute"], "2026-11-20 13:48:26.000") is not None
    assert host_lost(LOGS["nova-compute"], "2026-11-20 13:50:00.000") is None
    assert host_lost(LOGS["nova-compute"], "2026-11-20 13:20:00.000") is None


def test_the_last_line_of_a_traceback() -> None:
    number = next(n for n, text in enumerate(LOGS["nova-compute"], 1) if "Instance failed to spawn" in text)
    line = parse_line("nova-compute", number, LOGS["nova-compute"][number - 1])
    assert line is not None
    said = exception(line, LOGS["nova-compute"])
    assert said is not None and said.startswith("nova.exception.InvalidMachineType: 'nosuch-1.0'")


def test_an_unknown_request_has_no_cause() -> None:
    assert first_cause("req-00000000-0000-0000-0000-000000000000", LOGS) is None


def test_a_server_is_explained_by_the_action_that_failed() -> None:
    actions = [
        {"request_id": "req-00000000-0000-0000-0000-000000000000", "action": "delete"},
        {"request_id": BAD_IMAGE, "action": "create"},
    ]
    finding = explain("web", SERVER, "Exceeded maximum number of retries.", actions, LOGS)
    assert finding.what.startswith("server web is in ERROR: ") and "machine type" in finding.what
    assert finding.evidence[0] == f"request {BAD_IMAGE} (create)"
    assert finding.evidence[-1] == "nova's fault: Exceeded maximum number of retries."
    assert SERVER in finding.remedy


def test_a_server_without_logs_has_novas_fault() -> None:
    finding = explain("web", SERVER, "No valid host was found.", [], {})
    assert "nova's fault: No valid host was found." in finding.evidence


def test_the_tail_of_a_file_keeps_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("".join(f"line {n}\n" for n in range(1, 1001)))
    lines = tail(path, 500)
    assert lines[999] == "line 1000" and lines[0] == ""
    assert tail(tmp_path / "none.log") == []


def test_shorten() -> None:
    assert shorten("a\n  b") == "a b"
    assert len(shorten("x" * 500, 100)) == 100
