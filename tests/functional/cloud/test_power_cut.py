"""The power goes while 'up' works: what the next run finds is what was on the disk, not what was in memory.

The cloud is on a file system in a file (tests.support.disk).
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.support.deadlines import at_most
from tests.support.disk import Disk
from tests.support.small_cloud_host import SmallCloud, gone

pytestmark = pytest.mark.timeout(420)
STEPS = [
    25,
    *(pytest.param(steps, marks=pytest.mark.long) for steps in (4, 12, 40)),
]  # done when the power goes


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
