"""Every verb in every wrong situation: one sentence, a documented exit code, and nothing is made, run or reached."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import CHECKOUT

from skerry.cli.main import guarded
from skerry.cli.parser import parser
from skerry.cli.situation import CONTINUE, verb_of
from skerry.common.errors import EXIT_CODES, ImageError

# What each verb is given besides its name. What it names is not there.
WORDS = {
    "logs": "keystone",
    "restart": "keystone",
    "user create": "ann",
    "user delete": "ann",
    "openstack": "server list",
    "ssh": "-- true",
    "destroy": "--yes",
    "config explain": "nova/DEFAULT/host",
    "secrets show": "admin",
    "secrets rotate": "admin",
    "backup": "nosuch",
    "restore": "nosuch",
    "image build": "tiny",
    "lab up": "nosuch.toml",
    "lab status": "nosuch",
    "lab exec": "--lab nosuch h1 -- true",
    "lab shell": "--lab nosuch h1",
    "lab down": "nosuch",
    "lab fault cut": "--lab nosuch h1:eth0",
    "lab fault rate": "--lab nosuch h1:eth0 10mbit",
    "lab fault loss": "--lab nosuch h1:eth0 5%",
    "lab fault delay": "--lab nosuch h1:eth0 20ms",
    "lab fault freeze": "--lab nosuch h1 x",
    "lab fault kill": "--lab nosuch h1 x",
    "lab fault power": "--lab nosuch h1 off",
    "lab fault heal": "--lab nosuch 1",
    "cloudlet base create": "x --image nosuch",
    "cloudlet base import": "nosuch",
    "cloudlet base export": "nosuch out",
    "cloudlet base show": "nosuch",
    "cloudlet base verify": "nosuch",
    "cloudlet base remove": "nosuch",
    "cloudlet overlay create": "nosuch x --run nosuch",
    "cloudlet overlay keep": "nosuch x",
    "cloudlet overlay info": "nosuch",
    "cloudlet overlay remove": "nosuch",
    "cloudlet overlay import": "nosuch",
    "cloudlet overlay export": "nosuch out",
    "cloudlet synthesize": "nosuch",
    "cloudlet resume": "nosuch",
    "cloudlet run": "nosuch nosuch",
    "cloudlet stop": "nosuch",
    "cloudlet handoff": "nosuch 127.0.0.1",
    "cloudlet discover": "nosuch",
    "cloudlet pair": "nosuch",
    "cloudlet trust": "nosuch",
    "migration run": "nosuch",
    "migration report": "nosuch",
    "completion": "bash",
    "bench": "nosuch",
}
LEFT_OUT = {"test", "cloudlet serve", "cloudlet directory"}  # they run until they are ended
MAKES = {"up", "image build"}  # what they make is part of their work, and the test stops them in it
GARBAGE = b"\xff\xfe\x00 no text"
SECRETS = '{"admin": "x"}'


def leaves(of: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, bool]]:
    """Every verb that can be run, and whether it has ``--json``."""
    parts = [action for action in of._actions if isinstance(action, argparse._SubParsersAction)]
    if not parts:
        yield name.strip(), "--json" in of._option_string_actions
    for action in parts:
        for word, inner in action.choices.items():
            yield from leaves(inner, f"{name} {word}")


VERBS = {name: has_json for name, has_json in leaves(parser(everything=True)) if name not in LEFT_OUT}
OF_A_CLOUD = [name for name in VERBS if verb_of(name.split()).cloud]


def test_the_words_are_of_verbs() -> None:
    assert set(WORDS) - set(VERBS) == set()
    assert {"up", "down", "destroy", "status", "doctor", "openstack", "secrets rotate"} <= set(VERBS)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can get into, as the test's own may not be."""
    place = Path(tempfile.mkdtemp(prefix="skerry-test-", dir="/tmp"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[str]:
    """No program is run and no port reached: what is tried is noted, and fails."""
    tried: list[str] = []

    def refuse(kind: str) -> Callable[..., Any]:
        def attempt(*args: Any, **more: Any) -> Any:
            tried.append(f"{kind} {args}")
            raise FileNotFoundError(2, "No such file or directory", "the program")

        return attempt

    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            tried.append(f"connect {address}")
            raise ConnectionRefusedError(111, "Connection refused")
        real(self, address)

    monkeypatch.setattr(subprocess, "Popen", refuse("run"))
    monkeypatch.setattr(subprocess, "run", refuse("run"))
    for name in ("execvpe", "execve", "execvp", "execv"):
        monkeypatch.setattr(os, name, refuse("become"))
    monkeypatch.setattr(socket.socket, "connect", connect)

    def stop(*args: Any) -> None:
        raise ImageError("This is far enough.", remedy="It is a test.")

    monkeypatch.setattr("skerry.cloud.operations.up.preflight", stop)
    monkeypatch.setattr("skerry.cloud.images.tiny.build", stop)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    return tried


def tree(root: Path) -> set[str]:
    return {f"{path} {path.lstat().st_size}" for path in root.rglob("*")} if root.is_dir() else set()


def command(verb: str, root: str, *, to_program: bool = False) -> list[str]:
    words = WORDS.get(verb, "").split()
    own = ["--json"] if to_program else []
    return ["--root", root, *verb.split(), *own, *words]


def explained(
    capsys: pytest.CaptureFixture[str], verb: str, root: str, *, to_program: bool = False
) -> tuple[int, str]:
    """The exit code of a verb and what it shows of its error, which is what an error has to be."""
    code = guarded(command(verb, root, to_program=to_program))
    shown = capsys.readouterr()
    assert code in EXIT_CODES and code != 1, shown.err
    assert "Traceback" not in shown.err
    if code and to_program:
        error = json.loads(shown.err.splitlines()[-1])["error"] if shown.err else {}
        assert bool(error) != bool(shown.out), "either the error or the result"
        return code, error.get("message", shown.out)
    if code and not shown.out:
        lines = [line for line in shown.err.splitlines() if line.startswith("skerry: ")]
        assert len(lines) == 2 and lines[0][8:].strip() and lines[1][8:].strip(), shown.err
    return code, shown.err + shown.out


SITUATIONS: dict[str, dict[str, bytes | None]] = {  # file below the root (None: a folder) and what is in it
    "an empty root": {},
    "cloud.toml is not text": {"etc/skerry/cloud.toml": GARBAGE},
    "cloud.toml is a folder": {"etc/skerry/cloud.toml": None},
    "cloud.toml is wrong": {"etc/skerry/cloud.toml": b"nmae = 'x'"},
    "cloud.toml and no more": {"etc/skerry/cloud.toml": b""},
    "just the lock": {"var/lib/skerry/lock": b"{}"},
    "the lock is a folder": {"var/lib/skerry/lock": None, "etc/skerry/cloud.toml": b""},
    "secrets without cloud.toml": {"etc/skerry/secrets.json": SECRETS.encode()},
    "secrets are not text": {"etc/skerry/secrets.json": GARBAGE},
    "secrets are no object": {"etc/skerry/secrets.json": b"[1]"},
    "secrets are a folder": {"etc/skerry/secrets.json": None},
    "clouds.yaml and no more": {"etc/skerry/clouds.yaml": b"{}"},
    "etc/skerry is a file": {"etc/skerry": b""},
    "var/lib is a file": {"etc/skerry/cloud.toml": b"", "var/lib": b""},
    "the host's name is unknown": {"etc/skerry/cloud.toml": b"", "etc/skerry/host": b"nobody\n"},
    "the host's name is not text": {"etc/skerry/cloud.toml": b"", "etc/skerry/host": GARBAGE},
    "members are broken": {"etc/skerry/cloud.toml": b"", "var/lib/skerry/hosts.json": b"[]"},
    "the journal is broken": {"etc/skerry/cloud.toml": b"", "var/lib/skerry/journal.json": b"[]"},
    "a site's file is not text": {"etc/skerry/cloud.toml": b"", "etc/skerry/nova/50-site.conf": GARBAGE},
    "a site's file is a folder": {"etc/skerry/cloud.toml": b"", "etc/skerry/nova/50-site.conf": None},
    "a built image is broken": {"var/cache/skerry/images/tiny/built.json": b"[]"},
    "a cloud that is down": {
        "etc/skerry/cloud.toml": b"",
        "etc/skerry/secrets.json": SECRETS.encode(),
        "etc/skerry/clouds.yaml": b"{}",
        "var/lib/skerry/lock": b"{}",
        "var/log/skerry/keystone.log": b"a line\n",
    },
}


def make(root: Path, files: dict[str, bytes | None]) -> None:
    root.mkdir()
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            path.mkdir()
        else:
            path.write_bytes(data)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="what root is shown")


# Labs and cloudlets do without a cloud: what is wrong with one is none of their business.
OTHERS = ("lab ", "cloudlet ", "completion", "bench", "migration report")
CASES = [
    (verb, situation)
    for verb in VERBS
    for situation in SITUATIONS
    if not verb.startswith(OTHERS) or situation == "var/lib is a file"
]


@needs_root
@pytest.mark.parametrize(("verb", "situation"), CASES)
def test_root_in(
    verb: str, situation: str, folder: Path, alone: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder / "r"
    make(root, SITUATIONS[situation])
    explained(capsys, verb, str(root))
    assert [each for each in alone if each.startswith("connect")] == [], "another cloud may answer there"


@needs_root
@pytest.mark.parametrize("verb", OF_A_CLOUD)
@pytest.mark.parametrize("made", [True, False], ids=["empty", "missing"])
def test_without_a_cloud_nothing_is_made_or_run(
    verb: str, made: bool, folder: Path, alone: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder / "r"
    if made:
        root.mkdir()
    before = tree(folder)
    code, shown = explained(capsys, verb, str(root))
    assert code == 12 and f"There is no cloud under {root}" in shown
    assert (tree(folder), alone) == (before, [])


@needs_root
@pytest.mark.parametrize("verb", [name for name, has_json in VERBS.items() if has_json])
@pytest.mark.parametrize("situation", ["an empty root", "cloud.toml is not text", "a cloud that is down"])
def test_for_programs(verb: str, situation: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(folder / "r", SITUATIONS[situation])
    explained(capsys, verb, str(folder / "r"), to_program=True)


@pytest.mark.parametrize(
    ("verb", "root"), [*((verb, "file/below") for verb in VERBS), ("up", ""), ("up", "file"), ("up", "link")]
)
def test_a_root_that_is_no_folder(
    verb: str, root: str, folder: Path, alone: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "file").write_text("")
    (folder / "link").symlink_to(folder / "file")
    before = tree(folder)
    code, shown = explained(capsys, verb, f"{folder}/{root}" if root else "")
    assert (code == 2 and "--root" in shown) or "There is no file" in shown
    assert (tree(folder), alone) == (before, [])


@needs_root
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "situation", ["an empty root", "a cloud that is down", "closed folders", "closed cloud.toml"]
)
def test_somebody_else(
    verb: str, situation: str, folder: Path, alone: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder / "r"
    make(root, SITUATIONS.get(situation, SITUATIONS["a cloud that is down"]))
    places = {"closed folders": ".", "closed cloud.toml": "etc/skerry/cloud.toml"}
    closed = places.get(situation, "etc/skerry/secrets.json")
    if (root / closed).exists():
        (root / closed).chmod(0o700)
    before = tree(folder)
    os.setegid(65534)
    os.seteuid(65534)
    try:
        code, shown = explained(capsys, verb, str(root))
    finally:
        os.seteuid(0)
        os.setegid(0)
    if code not in (0, 2, 12) and situation != "an empty root" and not verb.startswith(OTHERS):
        assert "sudo" in shown, shown
    if verb_of(verb.split()).root:
        assert code == 4 and "must be root" in shown and "sudo" in shown
    assert tree(folder) == before
    assert [each for each in alone if each.startswith("connect")] == []


# -- before the environment is installed ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "shown"),
    [
        ("statsu", 2, "Did you mean 'status'?"),
        ("lab stauts", 2, "Did you mean 'status'?"),
        ("--root {}/file up", 2, "is not a folder"),
        ("--root {} status", 12, "There is no cloud under"),
        ("--root {} openstack server list --help", CONTINUE, ""),
        ("--root {} status --json", 12, '{"error"'),
        ("up --wiht x", CONTINUE, ""),
        ("status --help", CONTINUE, ""),
        ("--help", 0, "bring the cloud up"),
    ],
)
def test_what_the_bootstrap_is_answered(
    folder: Path, words: str, code: int, shown: str, monkeypatch: Any
) -> None:
    monkeypatch.undo()
    if os.geteuid() and (code == 12 or "server list" in words):
        pytest.skip("who is not root gets another answer")
    (folder / "file").write_text("")
    python = [sys.executable, "-IS", "-c", f"import sys; sys.path.insert(0, {str(CHECKOUT / 'src')!r})"]
    python[-1] += "; from skerry.cli.situation import main; main()"
    done = subprocess.run(
        [*python, *words.format(folder).split()], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    assert shown in done.stdout + done.stderr and "Traceback" not in done.stderr
