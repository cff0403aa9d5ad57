"""What images may take."""

from __future__ import annotations

import shutil
from pathlib import Path

from skerry.cloud.components.glance import Glance
from skerry.cloud.context import Context


def limits(root: Path, text: str) -> dict[str, object]:
    (root / "etc/skerry").mkdir(parents=True)
    (root / "etc/skerry/cloud.toml").write_text(text)
    return Glance(Context.at(root)).settings()["DEFAULT"]


def test_shares_of_the_disk(tmp_path: Path) -> None:
    total = shutil.disk_usage(tmp_path).total
    found = limits(tmp_path / "a", "")
    assert found["image_size_cap"] == total * 20 // 100
    assert found["user_storage_quota"] == str(total * 40 // 100)
    found = limits(tmp_path / "b", "[images]\nlargest_percent = 50\nproject_percent = 100\n")
    assert (found["image_size_cap"], found["user_storage_quota"]) == (total * 50 // 100, str(total))
