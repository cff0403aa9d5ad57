"""Errors: sentences for people, one JSON object for programs, and the exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import openstack.exceptions
import pytest
from keystoneauth1.exceptions import ConnectFailure

from skerry.cli import situation
from skerry.cli.cloud import status
from skerry.cli.main import guarded, json_wanted
from skerry.common.errors import BusyError

Captured = pytest.CaptureFixture[str]


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(args: object) -> int:
        raise error

    monkeypatch.setattr(status, "run", run)
    monkeypatch.setattr(situation, "demand", lambda root, words: None)


def told(capsys: Captured) -> dict[str, Any]:
    """The error of the last line of the standard error; nothing is on the standard output."""
    captured = capsys.readouterr()
    assert captured.out == ""
    error: dict[str, Any] = json.loads(captured.err.splitlines()[-1])
    assert list(error) == ["error"]
    return dict(error["error"])


def test_an_error_of_skerry(capsys: Captured, tmp_path: Path) -> None:
    words = ["--root", str(tmp_path), "doctor"]
    assert guarded([*words, "--json"]) == 12
    error = told(capsys)
    assert error["class"] == "NotFoundError" and error["exit_code"] == 12
    assert "no cloud" in error["message"] and error["remedy"]
    assert guarded(words) == 12
    assert capsys.readouterr().err == f"skerry: {error['message']}\nskerry: {error['remedy']}\n"


def test_a_derived_class_tells_its_own_name(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, BusyError("up", 4711, "now"))
    assert guarded(["status", "--json"]) == 5
    assert told(capsys) == {
        "class": "BusyError",
        "message": "Another run works on this cloud: up (process 4711), since now.",
        "remedy": BusyError.remedy,
        "exit_code": 5,
    }


@pytest.mark.parametrize(
    "line",
    [
        "status --json --nosuch",
        "config --json",
        "--json",
        "nosuch --json",
        "lab fault rate x --json",
        "doctor x --json",
    ],
)
def test_a_wrong_command_line(line: str, capsys: Captured) -> None:
    assert guarded(line.split()) == 2
    error = told(capsys)
    assert (error["class"], error["exit_code"]) == ("UsageError", 2)
    assert error["message"] and error["remedy"].startswith("usage: skerry")


def test_a_wrong_command_line_for_people(capsys: Captured) -> None:
    assert guarded(["status", "--nosuch"]) == 2
    error = capsys.readouterr().err
    assert "--nosuch" in error and "usage: skerry" in error and "{" not in error


@pytest.mark.parametrize(
    "error", [ConnectFailure("no answer"), openstack.exceptions.HttpException("refused")]
)
def test_an_error_of_the_apis(error: Exception, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, error)
    assert guarded(["status", "--json"]) == 13
    shown = told(capsys)
    assert (shown["class"], shown["exit_code"]) == ("ApiError", 13)
    assert str(error) in shown["message"] and "doctor" in shown["remedy"]


def test_a_defect(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ZeroDivisionError("division by zero"))
    assert guarded(["status", "--json"]) == 1
    error = told(capsys)
    assert (error["class"], error["message"]) == ("DefectError", "ZeroDivisionError: division by zero")
    assert "raise error" in error["traceback"] and "report" in error["remedy"]
    assert guarded(["status"]) == 1
    text = capsys.readouterr().err
    assert text.startswith("Traceback") and "\nskerry: ZeroDivisionError: division by zero\nskerry: " in text


def test_an_interrupt(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    assert guarded(["status", "--json"]) == 130
    assert told(capsys)["class"] == "InterruptError"
    assert guarded(["status"]) == 130
    assert "continues from here" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="'destroy' must be root")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """A real one, to a verb that waits for an answer."""
    (tmp_path / "etc/skerry").mkdir(parents=True)
    (tmp_path / "etc/skerry/cloud.toml").write_text("")
    words = ["--root", str(tmp_path), "destroy"]
    verb = subprocess.Popen(
        [sys.executable, "-m", "skerry.cli.main", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Who runs the tests in the background has it ignored, which programs inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert verb.stderr is not None
    assert "for good" in verb.stderr.readline()
    verb.send_signal(number)
    _, error = verb.communicate(timeout=30)
    assert verb.returncode == 130 and "skerry: Interrupted.\n" in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("status --json", True),
        ("status", False),
        ("--root / --json status", True),
        ("openstack server list --json", False),
        ("lab exec h1 -- program --json", False),
        ("test --json", False),
    ],
)
def test_whose_json_is_it(line: str, wanted: bool) -> None:
    assert json_wanted(line.split()) is wanted


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (OSError(28, "No space left on device", "/var/x"), "/var/x: No space left on device."),
        (PermissionError(13, "Permission denied", "/var/x"), "/var/x: Permission denied."),
        (OSError(30, "Read-only file system"), "The machine refuses: Read-only file system."),
    ],
)
def test_what_the_machine_refuses_is_no_defect(
    error: OSError, shown: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, error)
    assert guarded(["status"]) == 4
    text = capsys.readouterr().err
    assert text.startswith(f"skerry: {shown}\nskerry: ") and "Traceback" not in text
