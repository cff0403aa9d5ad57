"""A small cloud on a disk of its own, which is full: what one needs then works."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.machines import SimulatedMachine
from tests.support.small_cloud_host import SmallCloud

# Its blocks are taken, and not written: the file that holds the disk stays small.
FILL = """
import os, sys
folder, size, n = sys.argv[1], 1 << 30, 0
os.makedirs(folder, exist_ok=True)
while size >= 512:
    handle = os.open(f"{folder}/{n}", os.O_WRONLY | os.O_CREAT)
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError:
        size //= 2
    os.close(handle)
    n += 1
"""
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def host(machine: Callable[[str], Any]) -> Iterator[SimulatedMachine]:
    with machine("full") as host:
        yield host


@pytest.fixture(scope="module")
def cloud(host: SimulatedMachine) -> Iterator[SmallCloud]:
    """Its root folder is a file system of 10 GiB in a file."""
    cloud = SmallCloud(host)
    disk = host.folder / "disk"
    host.run(["truncate", "-s", "10G", str(disk)])
    host.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1", str(disk)])
    host.run(["mkdir", "-p", str(cloud.root)])
    host.run(["mount", "-o", "loop", str(disk), str(cloud.root)])
    try:
        cloud.up()
        # The last that a whole cloud gets on its first 'up': from then on little room will do.
        host.run(["touch", f"{cloud.root}/etc/skerry/clouds.yaml"])
        yield cloud
    finally:
        cloud.run("destroy", "--yes", "--keep-packages", check=False)
        host.run(["umount", "-l", str(cloud.root)], check=False)
        host.run(["rm", "-f", str(disk)])


def left(cloud: SmallCloud) -> int:
    """Bytes that are free."""
    shown = cloud.host.run(["df", "--output=avail", "-B1", str(cloud.root)]).stdout
    return int(shown.splitlines()[-1])


def fill(cloud: SmallCloud) -> None:
    cloud.host.run([sys.executable, "-c", FILL, f"{cloud.root}/filler"])
    assert left(cloud) < 1 << 20


def empty(cloud: SmallCloud) -> None:
    cloud.host.run(["rm", "-rf", f"{cloud.root}/filler"])


def has_reserve(cloud: SmallCloud) -> bool:
    path = f"{cloud.root}/var/lib/skerry/reserve"
    return bool(cloud.host.run(["test", "-e", path], check=False).returncode == 0)


def test_a_full_disk(cloud: SmallCloud) -> None:
    assert has_reserve(cloud) and cloud.lacks() == {}
    fill(cloud)
    before = {name: service["pid"] for name, service in cloud.status().items()}
    assert all(before.values())
    report = json.loads(cloud.run("doctor", "--json", check=False).stdout)
    (finding,) = [row for row in report["findings"] if row["check"] == "disk-space"]
    assert "the disk is full" in finding["what"] and finding["fixable"]
    assert has_reserve(cloud), "looking frees nothing"
    # The supervisor lives, too, although it cannot write its log.
    assert {name: service["pid"] for name, service in cloud.status().items()} == before
    done = cloud.run("down")
    assert re.search(r"the disk is full: 1\d\d MiB that were kept", done.stderr + done.stdout)
    assert not has_reserve(cloud) and left(cloud) > 100 << 20
    assert cloud.up(), "and it comes up, so that one can delete"
    assert cloud.lacks() == {}


def test_the_doctor_gives_the_reserve_up(cloud: SmallCloud) -> None:
    empty(cloud)
    assert cloud.up() == ["reserve"], "it is back as soon as there is room"
    fill(cloud)
    report = json.loads(cloud.run("doctor", "--json", "--fix", check=False).stdout)
    assert any("freed the" in text for text in report["done"]) and left(cloud) > 100 << 20
    assert cloud.lacks() == {}


def test_destroy(cloud: SmallCloud) -> None:
    fill(cloud)
    done = cloud.run("destroy", "--yes", "--keep-packages")
    assert "nothing is left" in done.stderr + done.stdout
    assert cloud.host.run(["find", str(cloud.root), "-type", "f", "-not", "-path", "*/filler/*"]).stdout == ""
