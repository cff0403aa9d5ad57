"""The power goes while 'up' works: what the next run finds is what was on the disk, not what was in memory.

The cloud is on a file system in a file. When everything was killed, the file is as a disk is after a power cut: what
the kernel had not yet written back is missing. A copy of it, made at once, is what the next run continues with.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.deadlines import at_most
from tests.support.machines import SimulatedMachine
from tests.support.small_cloud_host import SmallCloud, gone

from skerry.common.errors import CommandError

pytestmark = pytest.mark.timeout(420)
STEPS = [
    25,
    *(pytest.param(steps, marks=pytest.mark.long) for steps in (4, 12, 40)),
]  # done when the power goes


@pytest.fixture(scope="module")
def host(machine: Callable[[str], Any]) -> Iterator[SimulatedMachine]:
    with machine("cut") as host:
        yield host


class Disk:
    """A file system in a file, mounted where the cloud is."""

    def __init__(self, host: SimulatedMachine) -> None:
        self.host, self.file, self.root = host, host.folder / "disk", host.folder / "r"

    def make(self) -> None:
        self.file.unlink(missing_ok=True)
        with self.file.open("wb") as file:
            file.truncate(12 << 30)  # with holes; a cloud wants 8 GiB free
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.file)], check=True)

    def mount(self) -> None:
        self.host.run(["mount", "-o", "loop", str(self.file), str(self.root)])
        self.host.run(["ln", "-sfn", "/run", str(self.root / "run")])

    def cut_the_power(self) -> None:
        for process in self.host.processes():
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        copy = self.file.with_name("copy")
        subprocess.run(["cp", "--sparse=always", str(self.file), str(copy)], check=True)
        self.host.power_off()
        copy.replace(self.file)
        self.host.power_on()
        self.mount()


@pytest.fixture
def disk(host: SimulatedMachine) -> Disk:
    """A fresh one."""
    host.run(["umount", str(host.folder / "r")], check=False)
    disk = Disk(host)
    disk.make()
    try:
        disk.mount()
    except CommandError as reason:
        pytest.skip(f"no file system in a file can be mounted here: {reason}")
    return disk


def ends_whole(cloud: SmallCloud) -> None:
    cloud.up()
    assert cloud.lacks() == {}
    assert cloud.run("plan").stdout.strip() == "Nothing would change."


@pytest.mark.parametrize("steps", STEPS)
def test_up_continues_with_what_was_on_the_disk(disk: Disk, steps: int) -> None:
    cloud = SmallCloud(disk.host)
    run = cloud.start("up")
    assert run.process.stdout is not None
    done, until = 0, time.monotonic() + at_most(120)
    for line in run.process.stdout:
        done += "✓" in line
        if done >= steps or time.monotonic() > until:
            break
    disk.cut_the_power()
    run.process.wait(at_most(10))
    ends_whole(cloud)
    left = [path for path in Path(disk.host.folder).glob("copy*")]
    assert left == []
    # From the beginning again.
    cloud.run("destroy", "--yes", "--keep-packages")
    assert [process for process in disk.host.processes() if not gone(process)] == []


def test_a_cloud_that_runs_comes_back_with_its_records(disk: Disk) -> None:
    cloud = SmallCloud(disk.host)
    cloud.up()
    cloud.sql("create or replace table keystone.cut (n int); insert into keystone.cut values (7)")
    disk.cut_the_power()
    ends_whole(cloud)
    assert cloud.sql("select n from keystone.cut") == "7"
