"""What 'plan' shows of a file that changes."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.steps.files import _differences
from skerry.cloud.supervise.service import File


def test_plan_names_changed_options_and_hides_secrets(tmp_path: Path) -> None:
    old = "[DEFAULT]\nworkers = 1\n[database]\nconnection = mysql://a:old@b/c\n"
    new = "[DEFAULT]\nworkers = 2\n[database]\nconnection = mysql://a:new@b/c\n"
    shown = [str(change) for change in _differences(File(tmp_path / "x.conf", new, secret=True), old)]
    assert shown == [
        f"{tmp_path}/x.conf [DEFAULT]workers: 1 -> 2",
        f"{tmp_path}/x.conf [database]connection: (secret) -> (another secret)",
    ]
