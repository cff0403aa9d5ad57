"""Runs that are interrupted, refused or out of room, on a machine without a cloud, with real services."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from tests.support import CHECKOUT
from tests.support.deadlines import at_most
from tests.support.machines import SimulatedMachine
from tests.support.small_cloud_host import SmallCloud, nothing_is_left

from skerry.common.proc import run
from skerry.common.process import marked
from skerry.lab.links import uplink
from skerry.lab.state import VARIABLE

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def host(machine: Callable[[str], Any]) -> Iterator[SimulatedMachine]:
    with machine("fresh") as host:
        yield host


@pytest.fixture
def cloud(host: SimulatedMachine) -> Iterator[SmallCloud]:
    """A cloud that is not there yet, and is gone again after the test."""
    cloud = SmallCloud(host)
    yield cloud
    if (cloud.root / "etc/skerry/secrets.json").exists():  # the test failed on its way
        cloud.run("destroy", "--yes", "--keep-packages", check=False)


EARLY, LATE = ("system users", "database (MariaDB)", "broker (RabbitMQ)"), ("external network",)


@pytest.mark.parametrize(
    ("steps", "how"),
    [
        pytest.param(EARLY, signal.SIGINT, id="ctrl-c-3x"),
        pytest.param(LATE, signal.SIGKILL, id="kill -9-1x"),
        pytest.param(EARLY, signal.SIGKILL, id="kill -9-3x", marks=pytest.mark.long),
        pytest.param(LATE, signal.SIGINT, id="ctrl-c-1x", marks=pytest.mark.long),
    ],
)
def test_an_interrupted_run_goes_on(cloud: SmallCloud, steps: tuple[str, ...], how: signal.Signals) -> None:
    for step in steps:
        run = cloud.start("up")
        assert run.process.stdout is not None
        reached = any(step in line and "✓" in line for line in run.process.stdout)
        if reached:
            run.signal(how)
        rest = run.process.stdout.read()
        code = run.process.wait(at_most(60))
        if not reached:  # what an earlier run started became ready meanwhile, and nothing was left to do
            assert step != steps[0] and code == 0
            break
        if how == signal.SIGINT and "The cloud 'skerry' is up" not in rest:
            assert code == 130 and "continues from here" in rest, rest
    cloud.up()
    assert cloud.lacks() == {}
    assert cloud.run("plan").stdout.strip() == "Nothing would change."
    cloud.run("destroy", "--yes", "--keep-packages")
    nothing_is_left(cloud)


@pytest.mark.parametrize(("seconds", "told"), [(3, "nothing is left"), (60, "all is gone but skerry-switch")])
def test_a_user_of_which_a_process_runs_is_waited_for(cloud: SmallCloud, seconds: int, told: str) -> None:
    run = cloud.start("up")
    assert run.process.stdout is not None
    next(line for line in run.process.stdout if "✓ system users" in line)
    run.signal(signal.SIGKILL)
    run.process.wait(at_most(30))
    asleep_for = str(seconds if told == "nothing is left" else at_most(seconds))
    asleep = cloud.host.popen(["setpriv", "--reuid=skerry-switch", "--clear-groups", "sleep", asleep_for])
    try:
        done = cloud.run("destroy", "--yes", "--keep-packages")
        assert told in done.stderr
        if "but" in told:
            assert re.search(r"used by process \d+\): 'userdel skerry-switch' removes it", done.stderr)
    finally:
        asleep.end()
        cloud.host.run(["userdel", "skerry-switch"], check=False)
    nothing_is_left(cloud)


def test_a_taken_port_names_the_program(cloud: SmallCloud) -> None:
    taker = cloud.host.popen([sys.executable, "-m", "http.server", "13306", "--bind", "127.0.0.1"])
    try:
        assert taker.pid
        _wait_listening(cloud.host, 13306)
        done = cloud.run("up", check=False)
    finally:
        taker.end()
    assert done.returncode == 4
    assert "Port 13306 (mariadb) is taken by python" in done.stderr
    assert "(process " in done.stderr and "user root" in done.stderr
    assert "Stop that program" in done.stderr


def _wait_listening(host: SimulatedMachine, port: int) -> None:
    script = "for i in $(seq 100); do ss -ltnH sport = :$0 | grep -q . && exit 0; sleep 0.1; done; exit 1"
    host.run(["sh", "-c", script, str(port)])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hypervisor = 'xen'\n", ["hypervisor", "auto", "kvm", "qemu"]),
        ("hypervizor = 'kvm'\n", ["hypervizor", "hypervisor"]),
        ("[sizes]\napi_workers = 0\n", ["sizes.api_workers", "greater than or equal to 1"]),
        ("[external]\ncidr = 'somewhere'\n", ["external.cidr", "somewhere"]),
        ("listen = '0.0.0.0'\n", ["listen", "TLS", "loopback"]),
        ("name = \n", ["line 1"]),
    ],
)
def test_a_wrong_cloud_toml_is_explained(cloud: SmallCloud, text: str, told: list[str]) -> None:
    path = cloud.root / "etc/skerry/cloud.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    try:
        done = cloud.run("up", check=False)
    finally:
        path.unlink()
    assert done.returncode == 3
    for word in (str(path), *told):
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_up_must_be_root(cloud: SmallCloud) -> None:
    readable = cloud.host.folder / "readable"  # the checkout may be in a folder of root's alone
    for part in ("src/skerry", "tests/support"):
        shutil.copytree(CHECKOUT / part, readable / part, ignore=shutil.ignore_patterns("__pycache__"))
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    own = ["env", f"PYTHONPATH={readable / 'src'}:{readable}", f"SKERRY_CHECKOUT={readable}"]
    argv = [word.replace(str(CHECKOUT), str(readable)) for word in cloud.argv]
    done = cloud.host.run([*nobody, *own, *argv, "up"], check=False)
    assert done.returncode == 4
    assert "must be root" in done.stderr and "sudo" in done.stderr


def test_a_full_disk_loses_nothing(cloud: SmallCloud) -> None:
    cloud.root.mkdir(exist_ok=True)
    cloud.host.run(["mount", "-t", "tmpfs", "-o", "size=9g", "tmpfs", str(cloud.root)])
    try:
        # Full in the middle: whatever breaks first, it is one sentence and the next command.
        run = cloud.start("up")
        assert run.process.stdout is not None
        said = ""
        for line in run.process.stdout:
            said += line
            if "✓ system users" in line:
                _fill(cloud)
        assert run.process.wait(at_most(120)) in (7, 8), said
        assert "Traceback" not in said and "\nskerry: " in said, said
        _make_room(cloud)
        cloud.up()
        assert cloud.lacks() == {}

        # Full before it begins: the check reports it, and by how much.
        cloud.sql("create or replace table keystone.full (n int); insert into keystone.full values (9)")
        cloud.run("down")
        _fill(cloud)
        done = cloud.run("up", check=False)
        assert done.returncode == 4
        assert "GiB free" in done.stderr and "Free some space" in done.stderr
        assert "Traceback" not in done.stderr
        _make_room(cloud)
        cloud.up()
        assert cloud.lacks() == {}
        assert cloud.sql("select n from keystone.full") == "9"
        cloud.run("destroy", "--yes", "--keep-packages")
    finally:
        cloud.host.run(["umount", "--lazy", str(cloud.root)])


def _fill(cloud: SmallCloud) -> None:
    """No room is left for anything: the file system becomes as small as what is in it.

    That grows while services start, and a size below it is refused: then it is measured again.
    """
    for _ in range(20):
        used = cloud.host.run(["df", "-k", "--output=used", str(cloud.root)]).stdout.split()[-1]
        shrink = ["mount", "-o", f"remount,size={int(used) + 16}k", str(cloud.root)]
        if cloud.host.run(shrink, check=False).returncode == 0:
            return
    pytest.fail("the file system grows faster than it can be shrunk")


def _make_room(cloud: SmallCloud) -> None:
    cloud.host.run(["mount", "-o", "remount,size=9g", str(cloud.root)])


def test_a_machine_leaves_nothing(machine: Callable[[str], Any]) -> None:
    before = _links()
    with machine("short") as host:
        folder = host.folder
        sleeper = host.popen(["sleep", "1000"])
        assert sleeper.pid and psutil.pid_exists(sleeper.pid)
        host.power_off()
        assert sleeper.process.wait(at_most(5)) != 0
        host.power_on()
        assert host.run(["hostname"]).stdout.strip() == "short"
    assert not folder.exists()
    assert _links() == before
    assert marked(VARIABLE, host.lab.places.mark) == []


def _links() -> set[str]:
    """This machine's interfaces, but for the uplinks of other labs, which come and go meanwhile."""
    names = {link["ifname"] for link in json.loads(run(["ip", "-j", "link"]).stdout)}
    return {name for name in names if not name.startswith(uplink.PREFIX)}
