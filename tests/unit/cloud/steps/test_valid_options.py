"""A wrong option is refused before anything restarts, with its line and what is allowed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skerry.cloud.engine.journal import Journal
from skerry.cloud.steps.valid_options import ValidConfiguration, component_problems
from skerry.cloud.supervise.service import File
from skerry.common.errors import ConfigError

OURS = "[DEFAULT]\ndebug = false\n"


def step(tmp_path: Path, site: str) -> ValidConfiguration:
    files = [File(Path("/etc/glance/00-skerry.conf"), OURS), File(Path("/etc/glance/50-site.conf"), site)]
    ctx: Any = SimpleNamespace(journal=Journal(tmp_path / "journal.json"))
    return ValidConfiguration(ctx, {"glance": lambda: files})


def test_right_files_need_nothing(tmp_path: Path) -> None:
    assert step(tmp_path, "[DEFAULT]\ndebug = true\n").check() == []


@pytest.mark.parametrize(
    ("site", "told"),
    [
        ("[DEFAULT]\ndebug = perhaps\n", ("50-site.conf:2", "debug", "perhaps", "true")),
        ("[DEFAULT]\n\ndebgu = true\n", ("50-site.conf:3", "debgu", "did you mean debug")),
        ("[DEFALT]\ndebug = true\n", ("50-site.conf:1", "[DEFALT]")),
        ("debug = true\n", ("50-site.conf:1", "section")),
    ],
)
def test_a_wrong_site_file_is_refused(tmp_path: Path, site: str, told: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as error:
        step(tmp_path, site).check()
    assert all(word in str(error.value) for word in told), str(error.value)
    assert error.value.exit_code == 3


def test_warnings_of_the_operators_file_are_said_once(tmp_path: Path) -> None:
    valid = step(tmp_path, "[DEFAULT]\ndebug = true\ndebug = false\n")
    assert "only the last one counts" in str(valid.check()[0])
    said: list[str] = []
    valid.apply(said.append)
    assert len(said) == 1
    assert valid.check() == []


def test_a_role_without_known_options_is_left_alone() -> None:
    assert component_problems("horizon", [File(Path("/etc/horizon/settings.py"), "X = 1")]) == []
