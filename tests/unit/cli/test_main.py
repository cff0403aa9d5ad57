"""The verbs' command lines, and what they answer without a cloud."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from skerry.cli.main import execute
from skerry.cli.parser import parse
from skerry.common.errors import NotFoundError, PreflightError, UsageError


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ("doctor --fix --json", {"fix": True, "json": True}),
        (
            "config explain nova/DEFAULT/host",
            {"part": "explain", "option": "nova/DEFAULT/host", "json": False},
        ),
        ("config validate --json", {"part": "validate", "json": True}),
        ("secrets show admin", {"part": "show", "name": "admin"}),
        (
            "secrets rotate db-glance rabbitmq",
            {"part": "rotate", "names": ["db-glance", "rabbitmq"], "all": False},
        ),
        ("secrets rotate --all", {"names": [], "all": True}),
        ("image build debian --output /x --upload", {"name": "debian", "output": Path("/x"), "upload": True}),
        ("image list", {"part": "list"}),
        ("completion zsh", {"shell": "zsh"}),
    ],
)
def test_command_lines(line: str, facts: dict[str, object]) -> None:
    args = parse(line.split())
    assert {name: getattr(args, name) for name in facts} == facts


@pytest.mark.parametrize(
    "line", ["", "config", "secrets", "image", "image build nosuch", "completion fish", "lab up"]
)
def test_wrong_command_lines_show_how_it_is_used(line: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(line.split())
    assert error.value.remedy.startswith("usage: skerry " + " ".join(line.split()[:1]))


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_the_verbs(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in ("doctor", "secrets", "explain", "rotate"))


def test_the_doctor_without_a_cloud(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no cloud"):
        execute(["--root", str(tmp_path), "doctor"])


def test_options_can_be_explained_without_a_cloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--root", str(tmp_path), "config", "explain", "cloud.external.cidr", "--json"]
    assert execute(line) == 0
    assert '"172.24.4.0/24"' in capsys.readouterr().out


def test_images_without_a_cloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--root", str(tmp_path), "image", "list"]) == 0
    assert "image build tiny" in capsys.readouterr().out


def test_secrets_are_roots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PreflightError, match="root"):
        execute(["--root", str(tmp_path), "secrets", "show", "admin"])


def test_secrets_of_no_cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(NotFoundError, match="no cloud"):
        execute(["--root", str(tmp_path), "secrets", "show", "admin"])
    (tmp_path / "etc/skerry").mkdir(parents=True)
    (tmp_path / "etc/skerry/cloud.toml").write_text("")
    with pytest.raises(UsageError):
        execute(["--root", str(tmp_path), "secrets", "rotate", "admin", "--all"])


def test_listing_secrets_shows_no_values(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from skerry.cloud.components import registry
    from skerry.cloud.model.secrets import Secrets

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    made = Secrets(tmp_path / "etc/skerry/secrets.json", registry.secrets())
    made.save()
    made.rotate(["admin"])
    assert execute(["--root", str(tmp_path), "secrets", "list"]) == 0
    text = capsys.readouterr().out
    assert "admin  (a rotation is under way)" in text
    assert made["admin"] not in text and made.previous["admin"] not in text


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("statsu", "Did you mean 'status'?"),
        ("lab stauts", "Did you mean 'status'?"),
        ("secrets rotat", "Did you mean 'rotate'?"),
        ("up --with herat", "Did you mean 'heat'?"),
        ("plan --jsno", "Did you mean '--json'?"),
        ("plan --root /x", "'--root' comes before the verb"),
        ("cloudlet base lsit", "Did you mean 'list'?"),
    ],
)
def test_a_slip_of_the_pen_gets_a_suggestion(line: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(line.split())
    assert hint in str(error.value)
