"""Rotation of keystone's keys: what is asked of its program, and when."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from skerry.cloud.components.upkeep.keys import DAY, tasks, token_interval
from skerry.cloud.engine.upkeep import AttentionError


def layers(folder: Path, ours: str = "", site: str = "") -> list[Path]:
    for name, text in (("00-skerry.conf", ours), ("50-site.conf", site)):
        (folder / name).write_text(text)
    return [folder / "00-skerry.conf", folder / "50-site.conf"]


@pytest.mark.parametrize(
    ("site", "days"),
    [
        ("", 7),
        ("[token]\nexpiration = 86400\n", 7),
        ("[token]\nexpiration = 2592000\n", 32),  # and two more, in which services may use them
        ("[token]\nexpiration = 2592000\n[fernet_tokens]\nmax_active_keys = 6\n", 8),
        ("[token]\nexpiration = 2592000\nallow_expired_window = 0\n", 30),
    ],
)
def test_a_key_is_kept_for_as_long_as_a_token_of_it_is_of_use(tmp_path: Path, site: str, days: int) -> None:
    ours = "[token]\nprovider = fernet\nexpiration = 60\n"
    assert token_interval(layers(tmp_path, ours, site)) == days * DAY


def test_with_two_keys_each_rotation_would_make_all_tokens_void(tmp_path: Path) -> None:
    with pytest.raises(AttentionError, match="max_active_keys is less than 3"):
        token_interval(layers(tmp_path, site="[fernet_tokens]\nmax_active_keys = 2\n"))


OWNER = ["--keystone-user", "skerry", "--keystone-group", "skerry"]


def ran(folder: Path, name: str, age_days: float) -> list[list[str]]:
    """What keystone's program was asked when the newest key was made so many days ago."""
    for keys in ("fernet-keys", "credential-keys"):
        (folder / keys).mkdir()
        (folder / keys / "0").write_text("key")
        at = time.time() - age_days * DAY
        os.utime(folder / keys / "0", (at, at))
    asked: list[list[str]] = []

    def run(commands: Sequence[Sequence[str]]) -> None:
        asked.extend(map(list, commands))

    task = next(task for task in tasks(layers(folder), folder, OWNER, run) if task.name == name)
    text = task.work()
    assert bool(text) == bool(asked)
    return asked


def test_tokens(tmp_path: Path) -> None:
    assert ran(tmp_path, "keystone-tokens", 7.1) == [["fernet_rotate", *OWNER]]


def test_credentials_are_encrypted_with_the_newest_key_before_the_oldest_goes(tmp_path: Path) -> None:
    assert ran(tmp_path, "keystone-credentials", 31) == [
        ["credential_migrate", *OWNER],
        ["credential_rotate", *OWNER],
        ["credential_migrate", *OWNER],
    ]


@pytest.mark.parametrize(
    ("name", "days"), [("keystone-tokens", 6.9), ("keystone-credentials", 29), ("keystone-tokens", -2)]
)
def test_what_is_not_due(tmp_path: Path, name: str, days: float) -> None:
    assert ran(tmp_path, name, days) == []


def test_no_keys(tmp_path: Path) -> None:
    with pytest.raises(AttentionError, match="has no key 0"):
        tasks(
            layers(tmp_path),
            tmp_path,
            ["--keystone-user", "skerry", "--keystone-group", "skerry"],
            lambda commands: None,
        )[0].work()
