"""Probes that look at processes, on real ones."""

from __future__ import annotations

import os
import socket
import subprocess

import psutil
import pytest

from skerry.cloud.supervise.probes import ConnectedProbe


def test_a_child_that_ends_while_it_is_looked_at_is_no_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen(["sleep", "60"])
    listed = psutil.Process(child.pid)
    child.kill()
    child.wait()
    monkeypatch.setattr(psutil.Process, "children", lambda self, recursive: [listed])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ConnectedProbe((port,)).missing(os.getpid()) == f"not connected to port {port} yet"
        with socket.create_connection(("127.0.0.1", port)):
            assert ConnectedProbe((port,)).missing(os.getpid()) is None


def test_a_process_that_is_gone_is_told() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert ConnectedProbe((1,)).missing(gone.pid) == "the process is gone"
