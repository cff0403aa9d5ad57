"""Packages of the elijah project."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from skerry.cloudlet.errors import BadBaseError
from skerry.cloudlet.overlay import elijah


def package(path: Path, digest: str, member: str = "disk") -> None:
    space = "http://opencloudlet.org/xmlns/vmsynthesis/package"
    text = f'<package xmlns="{space}"><image hash_value="{digest}"><disk path="{member}"/></image></package>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(elijah.MANIFEST, text)
        archive.writestr("disk", b"content")


def test_the_disk_of_an_old_package_is_taken_and_checked(tmp_path: Path) -> None:
    path, target = tmp_path / "base.zip", tmp_path / "disk"
    package(path, "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73")
    assert elijah.is_package(path)
    elijah.extract_disk(path, target)
    assert target.read_bytes() == b"content"
    for digest, member in (("0" * 64, "disk"), ("0" * 64, "../etc/passwd")):
        package(path, digest, member)
        with pytest.raises(BadBaseError):
            elijah.extract_disk(path, target)
