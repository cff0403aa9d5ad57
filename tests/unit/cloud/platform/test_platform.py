"""Every operation of every platform as data: given these facts, exactly these commands and writes.

One file of cases for each operating system, named after it. A case:

    call      the operation, "users.make"; ``with`` are its arguments
    files     what the host has: path -> text; ``folders``: path -> names, or a list of such lists, one after the other
    answers   what commands that only ask print: command -> text, or {status, stdout, stderr}, or a list of such
    results   the same for commands that change something, where they do not just succeed
    does      what the operation does, in this order: commands with their environment before them,
              "write PATH MODE", "folder PATH MODE", "remove PATH"; ``texts``: path or command -> what is written to it
    returns, raises, ``says``

Facts that nobody asks for fail the case, too. What is in the table ``short`` may be written as $NAME.
"""

from __future__ import annotations

import inspect
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from skerry.cloud.engine.transport import Transport
from skerry.cloud.platform.base import GuestLink, NetworkStack, PackageManager, Platform, Users
from skerry.cloud.platform.choice import PLATFORMS, platform_of
from skerry.common.errors import CommandError, SkerryError
from skerry.common.proc import last_lines

HERE = Path(__file__).parent
THEMES = {"packages": PackageManager, "users": Users, "network": NetworkStack}


class Recorded(Transport):
    """A host that is a record: it answers with facts, and writes down what is done to it."""

    def __init__(self, case: Mapping[str, Any]) -> None:
        self.files: dict[str, str] = dict(case.get("files", {}))
        self.folders: Mapping[str, list[Any]] = case.get("folders", {})
        self.answers: Mapping[str, Any] = case.get("answers", {})
        self.results: Mapping[str, Any] = case.get("results", {})
        self.asked: list[str] = []  # facts that were used
        self.done: list[str] = []
        self.texts: dict[str, str] = {}

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout: float | None = 300,
        check: bool = True,
    ) -> CompletedProcess[str]:
        command = " ".join([*(f"{key}={value}" for key, value in (env or {}).items()), shlex.join(argv)])
        answer = self.answers.get(command)
        if isinstance(answer, list):
            answer = self._next(command, answer)
        if answer is None:
            self.done.append(command)
            answer = self.results.get(command, "")
        self.asked.append(command)
        if input is not None:
            self.texts[command] = input
        facts = answer if isinstance(answer, Mapping) else {"stdout": answer}
        status, stderr = int(facts.get("status", 0)), str(facts.get("stderr", ""))
        if check and status:
            raise CommandError(command, f"exit status {status}", last_lines(stderr))
        return CompletedProcess(list(argv), status, str(facts.get("stdout", "")), stderr)

    def read(self, path: Path) -> str | None:
        self.asked.append(str(path))
        return self.files.get(str(path))

    def mode(self, path: Path) -> int | None:
        self.asked.append(str(path))
        return 0o755 if str(path) in self.folders else 0o644 if str(path) in self.files else None

    def owner(self, path: Path) -> str | None:
        return None if self.mode(path) is None else "root:root"

    def names(self, folder: Path) -> list[str]:
        names = self.folders.get(str(folder), [])
        if names and isinstance(names[0], list):
            names = self._next(str(folder), names)
        self.asked.append(str(folder))
        return names

    def _next(self, fact: str, answers: list[Any]) -> Any:
        """The next answer of several, or the last again."""
        return answers[min(self.asked.count(fact), len(answers) - 1)]

    def write(self, path: Path, text: str, *, mode: int = 0o644, owner: str | None = None) -> None:
        self.done.append(f"write {path} {mode:o}")
        self.texts[str(path)] = self.files[str(path)] = text

    def make_folder(self, path: Path, *, mode: int = 0o755, owner: str | None = None) -> None:
        self.done.append(f"folder {path} {mode:o}")

    def remove(self, path: Path) -> None:
        self.done.append(f"remove {path}")
        self.files.pop(str(path), None)


def unused(case: Mapping[str, Any], host: Recorded) -> list[str]:
    facts = [*host.answers, *host.results, *case.get("files", {}), *host.folders]
    return [fact for fact in facts if fact not in host.asked]


def call(platform: Platform, name: str, arguments: Sequence[Any], says: list[str]) -> Any:
    """What the operation returns, as TOML would have it."""
    found: Any = platform
    for part in name.split("."):
        found = getattr(found, part)
    if inspect.ismethod(found):
        wanted = inspect.signature(found).parameters
        given = iter(arguments)
        found = found(
            *(
                says.append
                if key == "report"
                else Path(next(given))
                if kind.annotation == "Path"
                else GuestLink(**next(given, {"interface": "ext"}))
                if kind.annotation == "GuestLink | None"
                else next(given)
                for key, kind in wanted.items()
            )
        )
    if isinstance(found, set):
        return sorted(found)
    return str(found) if isinstance(found, Path) else found


def recorded(kind: type[Platform]) -> list[dict[str, Any]]:
    text = (HERE / f"{kind.name}.toml").read_text()
    for name, meaning in tomllib.loads(text).get("short", {}).items():
        text = text.replace(f"${name}", meaning)
    return list(tomllib.loads(text)["case"])


def cases() -> Iterator[Any]:
    for kind in PLATFORMS:
        counts: dict[str, int] = {}
        for case in recorded(kind):
            counts[case["call"]] = counts.get(case["call"], 0) + 1
            yield pytest.param(kind, case, id=f"{kind.name}-{case['call']}-{counts[case['call']]}")


@pytest.mark.parametrize(("kind", "case"), list(cases()))
def test_facts_in_commands_out(kind: type[Platform], case: dict[str, Any]) -> None:
    host, says = Recorded(case), list[str]()
    raised, returned = "", None
    try:
        returned = call(kind(host), case["call"], case.get("with", []), says)
    except SkerryError as error:
        raised = f"{type(error).__name__}: {error}"
    assert host.done == case.get("does", [])
    assert host.texts == case.get("texts", {})
    assert says == case.get("says", [])
    assert returned == case.get("returns")
    assert raised == case.get("raises", "")
    assert unused(case, host) == []


@pytest.mark.parametrize("kind", PLATFORMS, ids=lambda kind: kind.name)
def test_every_operation_has_a_case(kind: type[Platform]) -> None:
    wanted = {f"{theme}.{name}" for theme, base in THEMES.items() for name in base.__abstractmethods__}
    wanted |= Platform.__abstractmethods__
    assert wanted - {case["call"] for case in recorded(kind)} == set()


@pytest.mark.parametrize(
    ("release", "platform", "supported"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "debian", True),
        ('ID=debian\nVERSION_ID="13"\n', "debian", True),
        ('ID=debian\nVERSION_ID="11"\n', "debian", False),
        ("ID=fedora\nVERSION_ID=43\n", "debian", False),
        (None, "debian", False),
    ],
)
def test_which_platform_a_host_has(release: str | None, platform: str, supported: bool) -> None:
    found = platform_of(Recorded({"files": {"/etc/os-release": release} if release else {}}))
    assert (found.name, found.supported) == (platform, supported)
