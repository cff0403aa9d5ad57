"""The database's settings."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from skerry.cloud.components.mariadb import ALIKE, MariaDB
from skerry.cloud.context import Context


def settings(root: Path) -> dict[str, str]:
    (root / "etc/skerry").mkdir(parents=True)
    (root / "etc/skerry/cloud.toml").write_text("")
    (file,) = MariaDB(Context.at(root)).files()
    return dict(line.split(" = ") for line in file.content.splitlines()[2:])


def test_releases_of_mariadb_behave_alike(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert found["loose_innodb_snapshot_isolation"] == "off"
    assert found["collation_server"] == "utf8mb3_general_ci"
    assert found["loose_character_set_collations"] == "utf8mb3=utf8mb3_general_ci"


@pytest.mark.skipif(not shutil.which("mariadbd", path="/usr/sbin"), reason="MariaDB is not installed")
@pytest.mark.parametrize(
    "option", [*(f"{name} = {value}" for name, value in ALIKE.items()), "loose_nosuch = 1"]
)
def test_an_option_that_a_server_does_not_know_does_not_stop_it(tmp_path: Path, option: str) -> None:
    path = tmp_path / "my.cnf"
    path.write_text(f"[mariadbd]\ncharacter_set_server = utf8mb3\n{option}\n")
    argv = ["/usr/sbin/mariadbd", f"--defaults-file={path}", "--help", "--verbose"]
    assert subprocess.run(argv, capture_output=True, timeout=60).returncode == 0
