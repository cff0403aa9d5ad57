"""Overlays go from one version of QEMU to the other: Debian 12's own 7.2, and the one that is installed.

7.2 is unpacked from its packages into a folder of the tests, and not installed.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.deadlines import at_most, within

from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.store import Store
from skerry.common.proc import run

PLACE = Path(os.environ.get("SKERRY_TEST_IMAGES", "/var/tmp/skerry-test-cloudlet/images")) / "qemu-7.2"
PACKAGES = ("qemu-system-x86", "qemu-system-common", "qemu-system-data", "qemu-utils")
# The secret is in memory only: a reboot would not know it.
SERVER = """
tr -dc a-z </dev/urandom | head -c 20 >/dev/shm/secret
dd if=/dev/urandom of=/root/data bs=64k count=20 2>/dev/null; sha256sum /root/data >/root/sum
printf '#!/bin/sh\\ncat /dev/shm/secret; sha256sum -c /root/sum\\n' >/root/answer; chmod +x /root/answer
setsid sh -c 'while :; do busybox nc -l -p 8080 -e /root/answer; done' >/dev/null 2>&1 &
"""


@pytest.fixture(scope="module")
def old() -> Path:
    """A folder with the programs of QEMU 7.2, as PATH wants it."""
    if platform.freedesktop_os_release().get("VERSION_CODENAME") != "bookworm":
        pytest.skip("QEMU 7.2 is in Debian 12 only")
    if not (PLACE / "bin").exists():
        offered = run(["apt-cache", "madison", *PACKAGES]).stdout.splitlines()
        rows = [[word.strip() for word in line.split("|")[:2]] for line in offered]
        versions = {name: version for name, version in reversed(rows) if version.startswith("1:7.2")}
        if set(versions) != set(PACKAGES):
            pytest.skip("apt of this machine has no lists with QEMU 7.2")
        shutil.rmtree(PLACE, ignore_errors=True)
        packages = PLACE / "packages"
        packages.mkdir(parents=True)
        wanted = [f"{name}={version}" for name, version in versions.items()]
        subprocess.run(["apt-get", "download", *wanted], cwd=packages, check=True, timeout=300)
        for package in packages.iterdir():
            run(["dpkg", "-x", str(package), str(PLACE / "root")])
        (PLACE / "half").mkdir()
        for program in ("qemu-system-x86_64", "qemu-img"):
            wrapper = PLACE / "half" / program
            modules = PLACE / "root/usr/lib/x86_64-linux-gnu/qemu"
            data = f"-L {PLACE}/root/usr/share/qemu -L /usr/share/seabios" if "system" in program else ""
            start = f'QEMU_MODULE_DIR={modules} exec {PLACE}/root/usr/bin/{program} "$@" {data}'
            wrapper.write_text(f"#!/bin/sh\n{start}\n")
            wrapper.chmod(0o755)
        (PLACE / "half").rename(PLACE / "bin")
    assert "version 7.2" in run([str(PLACE / "bin/qemu-system-x86_64"), "--version"]).stdout
    return PLACE / "bin"


def cloudlet(store: Store, path: str, *words: str) -> object:
    argv = [sys.executable, "-m", "skerry.cli.main", "cloudlet", "--store", str(store.root), *words]
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=at_most(180), env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in words else None


def answer(port: int, deadline: float = 30.0) -> str:
    def reply() -> str:
        text = b""
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.settimeout(5)
            while part := sock.recv(4096):
                text += part
        return text.decode() if b"data: OK" in text else ""

    return within(deadline, "a reply", reply, 0.05)


@pytest.mark.parametrize("maker", ["old", pytest.param("new", marks=pytest.mark.long)])
def test_an_overlay_of_one_qemu_runs_on_the_other(
    store: Store, base: Base, old: Path, tmp_path: Path, maker: str
) -> None:
    (tmp_path / "script").write_text(SERVER)
    paths = {"new": os.environ["PATH"], "old": f"{old}:{os.environ['PATH']}"}
    other = "new" if maker == "old" else "old"
    script = ("--run", str(tmp_path / "script"))
    cloudlet(store, paths[maker], "overlay", "create", base.name, "there", *script)
    try:
        for early in ((), ("--early",)):
            words = ("synthesize", "there", "--name", "here", "--port", "8080", "--json", *early)
            session = cloudlet(store, paths[other], *words)
            try:
                assert isinstance(session, dict)
                pid = int((store.root / "sessions/here/pid").read_text().split()[0])
                program = Path(f"/proc/{pid}/exe").readlink()
                assert program.is_relative_to(PLACE) == (other == "old")
                secret, told = answer(int(next(iter(session["ports"])))).split("/root", 1)
                assert len(secret) == 20 and told.endswith("OK\n")
            finally:
                cloudlet(store, paths[other], "stop", "here")
    finally:
        cloudlet(store, paths[maker], "overlay", "remove", "there")
