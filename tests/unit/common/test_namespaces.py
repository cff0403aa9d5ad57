"""Commands that enter namespaces, and being in another network."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from skerry.common.namespaces import entered, entering, namespace_of


@pytest.mark.parametrize(
    ("kinds", "argv"),
    [
        (["net"], ["nsenter", "-t", "7", "--net", "--", "ip", "link"]),
        (["net", "mount"], ["nsenter", "-t", "7", "--net", "--mount", "--wdns=/", "--", "ip", "link"]),
    ],
)
def test_the_command_that_enters(kinds: list[str], argv: list[str]) -> None:
    assert entering(7, ["ip", "link"], kinds) == argv


def test_which_namespace() -> None:
    assert namespace_of("self", "pid") == namespace_of(os.getpid(), "pid") is not None
    child = subprocess.Popen(["true"])
    child.wait()
    assert namespace_of(child.pid, "pid") is None


def test_a_network_for_a_moment() -> None:
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
        pytest.skip("network namespaces cannot be made here")
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; sleep 60"], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline()
        before = namespace_of("thread-self", "net")
        with entered(Path(f"/proc/{other.pid}/ns/net")):
            assert namespace_of("thread-self", "net") == namespace_of(other.pid, "net") != before
        assert namespace_of("thread-self", "net") == before
        other.kill()
