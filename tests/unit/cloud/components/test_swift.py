"""Objects in one copy on this host."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components.swift import Swift
from skerry.cloud.context import Context


def test_its_files_are_secret_and_it_listens_on_loopback(tmp_path: Path) -> None:
    files = Swift(Context.at(tmp_path)).every_file()
    assert all(file.secret for file in files)
    proxy = next(file for file in files if file.path.name == "proxy-server.conf")
    assert "bind_ip = 127.0.0.1" in proxy.content
