"""Rotation: new values are saved beside the old ones, proven, and only then the old ones are forgotten."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skerry.cloud.components import registry
from skerry.cloud.model.secrets import Secrets
from skerry.cloud.operations import rotate as room
from skerry.common.errors import NotFoundError, StepError


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    made = Secrets(tmp_path / "secrets.json", registry.secrets())
    made.save()
    return made


def test_the_old_value_is_kept_beside_the_new_one(secrets: Secrets) -> None:
    old, other = secrets["admin"], secrets["rabbitmq"]
    secrets.rotate(["admin"])
    again = Secrets(secrets.path, registry.secrets())
    assert again["admin"] != old and again["rabbitmq"] == other
    assert again.previous == {"admin": old}
    assert again.saved
    assert stat.S_IMODE(secrets.path.stat().st_mode) == 0o600


def test_what_is_under_way_is_not_drawn_again(secrets: Secrets) -> None:
    old = secrets["admin"]
    secrets.rotate(["admin"])
    new = secrets["admin"]
    again = Secrets(secrets.path, registry.secrets())  # a run that broke, started again
    again.rotate(["admin", "rabbitmq"])
    assert again["admin"] == new
    assert again.previous["admin"] == old and set(again.previous) == {"admin", "rabbitmq"}


def test_settling_forgets_the_old_values(secrets: Secrets) -> None:
    secrets.rotate(["admin"])
    secrets.settle()
    assert "previous" not in json.loads(secrets.path.read_text())


def test_an_unknown_name_changes_nothing(secrets: Secrets) -> None:
    before = secrets.path.read_text()
    with pytest.raises(NotFoundError):
        secrets.rotate(["admin", "nosuch"])
    assert secrets.path.read_text() == before


class Door:
    """Something that opens with some of the values."""

    def __init__(self, *opening: str) -> None:
        self.opening = opening

    def __call__(self, value: str) -> str | None:
        return None if value in self.opening else "refused"


def given(monkeypatch: pytest.MonkeyPatch, secrets: Secrets, door: Door) -> Any:
    monkeypatch.setattr(room, "_attempts", lambda ctx: {"admin": door})
    return SimpleNamespace(secrets=secrets)


def test_a_rotation_is_proven(monkeypatch: pytest.MonkeyPatch, secrets: Secrets) -> None:
    secrets.rotate(["admin", "horizon"])
    assert room.prove(given(monkeypatch, secrets, Door(secrets["admin"]))) == ["admin"]


def test_a_new_value_that_is_not_taken(monkeypatch: pytest.MonkeyPatch, secrets: Secrets) -> None:
    secrets.rotate(["admin"])
    with pytest.raises(StepError, match="new value of admin is not taken: refused"):
        room.prove(given(monkeypatch, secrets, Door(secrets.previous["admin"])))


def test_an_old_value_that_still_opens(monkeypatch: pytest.MonkeyPatch, secrets: Secrets) -> None:
    secrets.rotate(["admin"])
    with pytest.raises(StepError, match="old value of admin still opens"):
        room.prove(given(monkeypatch, secrets, Door(secrets["admin"], secrets.previous["admin"])))


def test_unknown_names_are_refused_before_anything(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nosuch"):
        room.rotate(tmp_path, ["nosuch"], lambda text: None, lambda event: None)
    assert list(tmp_path.iterdir()) == []


class Broker:
    """Records what is asked of the broker's tools and the supervisor."""

    def __init__(self, secrets: Secrets) -> None:
        self.secrets, self.asked = secrets, list[str]()
        self.platform = SimpleNamespace(
            run=lambda argv, **more: self.asked.append(f"{argv[2]} {more['input']}"),
            program=lambda name: f"/bin/{name}",
        )
        self.supervisor = SimpleNamespace(stop=lambda name: self.asked.append(f"stop {name}"))


def gone(password: str) -> str | None:
    raise ConnectionRefusedError


@pytest.mark.parametrize(
    ("names", "login", "asked"),
    [
        (["admin"], lambda password: "refused", []),
        (["rabbitmq"], lambda password: "refused", ["change_password NEW"]),
        (["rabbitmq"], lambda password: None, []),
        (["rabbitmq", "erlang-cookie"], gone, ["stop rabbitmq"]),
        (["rabbitmq", "erlang-cookie"], lambda password: "refused", ["change_password NEW", "stop rabbitmq"]),
    ],
)
def test_the_broker_is_told_before_its_clients_restart(
    monkeypatch: pytest.MonkeyPatch, secrets: Secrets, names: list[str], login: Any, asked: list[str]
) -> None:
    secrets.rotate(names)
    broker: Any = Broker(secrets)
    monkeypatch.setattr(room, "login_problem", login)
    monkeypatch.setattr(room, "RabbitMQ", lambda ctx: SimpleNamespace(environment=dict))
    room._tell_broker(broker)
    new = f"change_password {secrets['rabbitmq']}\n"
    assert broker.asked == [new if text.startswith("change") else text for text in asked]
