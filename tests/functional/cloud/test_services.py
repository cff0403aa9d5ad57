"""Steps, supervisor and configuration with the real database, broker and switch, on a simulated machine."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess
from typing import Any

import psutil
import pytest
from tests.support import CHECKOUT
from tests.support.deadlines import at_most
from tests.support.machines import SimulatedMachine

from skerry.cloud.platform.choice import platform_of
from skerry.common.proc import run
from skerry.common.process import marked
from skerry.lab.hosts.namespaces import Program
from skerry.lab.links import uplink
from skerry.lab.state import VARIABLE

LESSER = CHECKOUT / "tests/support/small_cloud.py"
SWITCH = (
    "ovsdb",
    "ovs-vswitchd",
    *(("ovs-guestports",) if platform_of().network.datapath == "netdev" else ()),
)
SERVICES = ("mariadb", "rabbitmq", *SWITCH, "ovn-ovsdb", "ovn-northd", "ovn-controller")
ROTATE = """
import sys
from pathlib import Path
from skerry.cloud.components import registry
from skerry.cloud.model.secrets import Secrets
Secrets(Path(sys.argv[1]), registry.secrets()).rotate(["db-keystone"])
"""
MIGRATE = """
import sys
from skerry.cloud.context import Context
from skerry.cloud.steps.database import Schema
ctx = Context.at(sys.argv[1])
socket = f"--socket={ctx.layout.run}/mariadb/mysqld.sock"
def work(report):
    tables = f"create table torn (n int); {sys.argv[3]}; create table rest (n int)"
    ctx.platform.run(["mariadb", "--no-defaults", socket, "torn", "-e", tables])
Schema(ctx, "create:torn", "", work, ["torn"], of=sys.argv[2], needs=(), cost=0).apply(print)
"""
HOLD = """
import sys, time
from skerry.cloud.model.layout import Layout
from skerry.cloud.engine.lock import exclusive
with exclusive(Layout.at(sys.argv[1]), "up"):
    print("held", flush=True)
    time.sleep(60)
"""
READY_AGAIN = 20  # seconds after a kill, by the promise of 'up'

Within = Callable[[float, str, Callable[[], Any]], Any]
pytestmark = pytest.mark.timeout(240)


class Cloud:
    """The lesser cloud of one simulated machine."""

    def __init__(self, host: SimulatedMachine) -> None:
        self.host = host
        self.root = host.folder / "r"

    @property
    def argv(self) -> list[str]:
        return [sys.executable, str(LESSER), "--root", str(self.root)]

    def run(self, *words: str, check: bool = True, timeout: float = 120) -> CompletedProcess[str]:
        return self.host.run([*self.argv, *words], check=check, timeout=at_most(timeout))

    def start(self, *words: str) -> Program:
        return self.host.popen([*self.argv, *words])

    def up(self) -> list[str]:
        """Bring it up; returns the names of the steps that did something."""
        return list(json.loads(self.run("up", "--json").stdout)["changed"])

    def status(self) -> dict[str, dict[str, Any]]:
        shown = json.loads(self.run("status", "--json", check=False).stdout)
        return {service["name"]: service for service in shown["services"]}

    def lacks(self) -> dict[str, str]:
        return {name: service["lack"] for name, service in self.status().items() if not service["ready"]}

    def ready(self, name: str) -> int:
        """The process id (on the host) of a service that is ready, else 0."""
        service = self.status()[name]
        return int(service["pid"]) if service["ready"] else 0

    def kill(self, pid: int) -> None:
        self.host.run(["kill", "-9", str(pid)])

    def kill_supervisor(self) -> None:
        self.kill(int(self.host.run(["cat", f"{self.root}/run/skerry/supervisord.pid"]).stdout))

    def sql(self, text: str) -> str:
        socket = f"--socket={self.root}/run/skerry/mariadb/mysqld.sock"
        return self.host.run(["mariadb", "--no-defaults", socket, "-N", "-e", text]).stdout.strip()

    def set(self, text: str) -> None:
        (self.root / "etc/skerry/cloud.toml").write_text(text)


@pytest.fixture(scope="module")
def host(machine: Callable[[str], Any]) -> Iterator[SimulatedMachine]:
    with machine("parts") as host:
        yield host


@pytest.fixture(scope="module")
def cloud(host: SimulatedMachine) -> Cloud:
    cloud = Cloud(host)
    cloud.up()
    return cloud


def test_all_are_ready_and_nothing_is_left_to_do(cloud: Cloud) -> None:
    assert cloud.lacks() == {}
    assert set(cloud.status()) == set(SERVICES)
    assert cloud.run("plan").stdout.strip() == "Nothing would change."
    assert cloud.up() == []


def test_every_command_is_logged_and_no_secret_is(cloud: Cloud) -> None:
    path = cloud.root / "var/log/skerry/skerry.log"
    text = path.read_text()
    assert re.search(r"verb: skerry --root \S+ up --json$", text, re.M)
    assert re.search(r"\] \d+\.\d{3} s, exit status 0: .*mariadb-install-db", text)
    assert re.search(r"started as process \d+: \S*supervisord ", text)
    assert re.search(r"\] \d+\.\d{3} s, exit code 0: the verb$", text, re.M)
    assert path.stat().st_mode & 0o777 == 0o640
    secrets = json.loads((cloud.root / "etc/skerry/secrets.json").read_text())
    assert [name for name, value in secrets.items() if str(value) in text] == []
    before = len(text)
    shown = cloud.run("status", "-v")
    assert re.search(r"^\+ \d+\.\d{3} s, exit status 0: ovs-appctl ", shown.stderr, re.M)
    assert "ovs-appctl" not in shown.stdout
    assert re.search(r"verb: skerry --root \S+ status -v$", path.read_text()[before:], re.M)


def test_an_error_is_json_for_programs(cloud: Cloud) -> None:
    for words, name, code in (
        (["plan", "--json", "--nosuch"], "UsageError", 2),
        (["config", "explain", "nosuch/option", "--json"], "NotFoundError", 12),
    ):
        done = cloud.run(*words, check=False)
        error = json.loads(done.stderr.splitlines()[-1])["error"]
        assert (done.returncode, error["exit_code"], error["class"]) == (code, code, name)
        assert done.stdout == "" and error["message"]


def test_services_do_not_run_as_root(cloud: Cloud) -> None:
    for name, service in cloud.status().items():
        user = cloud.host.run(["stat", "-c", "%U", f"/proc/{service['pid']}"]).stdout.strip()
        assert user == "skerry", f"{name} runs as {user}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_killed_service_is_ready_again(cloud: Cloud, within: Within, name: str) -> None:
    # The one before may have been the database that this one reads.
    old = within(READY_AGAIN, f"{name} is ready before the test", lambda: cloud.ready(name))
    cloud.kill(old)
    new = within(READY_AGAIN, f"{name} is ready again", lambda: cloud.ready(name))
    assert new != old


def test_data_outlives_a_kill(cloud: Cloud, within: Within) -> None:
    cloud.sql("create or replace table keystone.kept (n int); insert into keystone.kept values (42)")
    cloud.kill(cloud.ready("mariadb"))
    within(READY_AGAIN, "mariadb is ready again", lambda: cloud.ready("mariadb"))
    assert cloud.sql("select n from keystone.kept") == "42"


def test_changed_configuration_restarts_just_that_service(cloud: Cloud) -> None:
    before = cloud.status()
    cloud.set("[sizes]\ndatabase_cache_mb = 48\n")
    try:
        planned = cloud.run("plan").stdout
        assert "restart mariadb" in planned
        assert not [name for name in SERVICES if name != "mariadb" and f"restart {name} " in planned]
        assert set(cloud.up()) == {"configure:mariadb", "start:mariadb"}
        after = cloud.status()
        assert after["mariadb"]["pid"] != before["mariadb"]["pid"]
        assert {n: s["pid"] for n, s in after.items() if n != "mariadb"} == {
            n: s["pid"] for n, s in before.items() if n != "mariadb"
        }
        assert cloud.sql("select @@innodb_buffer_pool_size div 1048576") == "48"
    finally:
        cloud.set("")
        cloud.up()


def test_a_killed_supervisor_leaves_no_orphans(cloud: Cloud) -> None:
    cloud.kill_supervisor()
    assert cloud.up(), "everything is started again"
    assert cloud.lacks() == {}
    for name in ("mariadbd", "ovs-vswitchd", "beam.smp", "ovn-controller", "supervisord"):
        running = [p for p in cloud.host.processes() if _is(p, name)]
        assert len(running) == 1, f"{name}: {running}"
    assert cloud.sql("select 1") == "1"


def _is(process: psutil.Process, name: str) -> bool:
    try:
        return bool(process.name() == name and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_rotated_secret_reaches_the_database(cloud: Cloud) -> None:
    path = cloud.root / "etc/skerry/secrets.json"
    old = json.loads(path.read_text())["db-keystone"]
    cloud.host.run([sys.executable, "-c", ROTATE, str(path)])
    new = json.loads(path.read_text())["db-keystone"]
    assert new != old
    assert "set the password of database account keystone" in cloud.run("plan").stdout
    assert cloud.up() == ["databases"]
    assert _login(cloud, new).returncode == 0
    refused = _login(cloud, old)
    assert refused.returncode != 0 and "Access denied" in refused.stderr


def test_only_a_first_migration_that_was_torn_begins_with_empty_databases(cloud: Cloud) -> None:
    def migrate(release: str, tear: str = "select 1") -> CompletedProcess[str]:
        argv = [sys.executable, "-c", MIGRATE, str(cloud.root), release, tear]
        return cloud.host.run(argv, check=False)

    def tables() -> set[str]:
        return set(cloud.sql("show tables from torn").split())

    cloud.sql("create database torn; create table torn.torn (n int); create table torn.data (n int)")
    for _ in range(2):  # nothing shows where these tables come from: they may be somebody's
        assert "already exists" in migrate("1").stderr
        assert tables() == {"torn", "data"}
    cloud.sql("drop table torn.torn, torn.data")
    assert "oops" in migrate("1", tear="oops").stderr
    assert tables() == {"torn"}
    assert "with empty databases" in migrate("1").stdout
    assert tables() == {"torn", "rest"}
    assert "already exists" in migrate("2").stderr  # of the next release: there is something to lose
    assert tables() == {"torn", "rest"}
    cloud.sql("drop database torn")


def _login(cloud: Cloud, password: str) -> CompletedProcess[str]:
    words = ["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", "13306", "-u", "keystone", "-e", "select 1"]
    return cloud.host.run(words, env={"MYSQL_PWD": password}, check=False)


def test_a_second_run_is_refused(cloud: Cloud) -> None:
    holder = cloud.host.popen([sys.executable, "-c", HOLD, str(cloud.root)])
    try:
        assert holder.process.stdout is not None and holder.process.stdout.readline() == "held\n"
        done = cloud.run("up", check=False)
        assert done.returncode == 5
        assert "Another run works on this cloud: skerry up (process " in done.stderr
        assert cloud.run("down", check=False).returncode == 5
    finally:
        holder.end()
    assert cloud.up() == [], "the kernel frees the lock of a run that was killed"


@pytest.mark.parametrize("supervised", [True, False], ids=["supervised", "its supervisor was killed"])
def test_down_and_up_keep_the_data(cloud: Cloud, supervised: bool) -> None:
    cloud.sql("create or replace table keystone.down (n int); insert into keystone.down values (7)")
    if not supervised:
        cloud.kill_supervisor()
    cloud.run("down")
    left = [p.name() for p in cloud.host.processes() if not _gone(p)]
    assert left == [], "no process is left after 'down'"
    cloud.up()
    assert cloud.lacks() == {}
    assert cloud.sql("select n from keystone.down") == "7"


def _gone(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_the_pulled_plug_keeps_the_data(cloud: Cloud) -> None:
    cloud.sql("create or replace table keystone.plug (n int); insert into keystone.plug values (8)")
    cloud.host.power_off()
    cloud.host.power_on()
    cloud.up()
    assert cloud.lacks() == {}
    assert cloud.sql("select n from keystone.plug") == "8"


# The cloud is removed here: what follows needs a fresh one.


def test_destroy_leaves_nothing(cloud: Cloud) -> None:
    assert cloud.run("destroy", check=False).returncode == 11, "the word was not typed"
    assert cloud.lacks() == {}
    cloud.run("destroy", "--yes", "--keep-packages")
    _nothing_is_left(cloud)


def _nothing_is_left(cloud: Cloud) -> None:
    assert [p.name() for p in cloud.host.processes() if not _gone(p)] == []
    assert [path for path in cloud.root.rglob("*") if path.is_file() or path.name == "skerry"] == []
    links = {link["ifname"] for link in json.loads(cloud.host.run(["ip", "-j", "link"]).stdout)}
    assert links == {"lo", "eth0"}
    assert cloud.host.run(["nft", "list", "ruleset"]).stdout.strip() == ""
    mounted = [line.split()[1] for line in cloud.host.run(["cat", "/proc/mounts"]).stdout.splitlines()]
    assert [place for place in mounted if place.startswith(f"{cloud.root}/")] == []
    assert "skerry" not in cloud.host.run(["ls", "/run"]).stdout
    assert cloud.host.run(["getent", "passwd", "skerry"], check=False).returncode == 2, "its user is gone"


MOMENTS = [("service user", "database (MariaDB)", "broker (RabbitMQ)"), ("external network",)]


@pytest.mark.parametrize("steps", MOMENTS, ids=lambda steps: f"{len(steps)}x")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
def test_an_interrupted_run_goes_on(
    host: SimulatedMachine, steps: tuple[str, ...], how: signal.Signals
) -> None:
    cloud = Cloud(host)
    for step in steps:
        run = cloud.start("up")
        assert run.process.stdout is not None
        assert any(step in line and "✓" in line for line in run.process.stdout), f"no '{step}'"
        run.signal(how)
        rest = run.process.stdout.read()
        code = run.process.wait(at_most(60))
        if how == signal.SIGINT and "The cloud 'skerry' is up" not in rest:  # nothing was left to do
            assert code == 130 and "continues from here" in rest, rest
    cloud.up()
    assert cloud.lacks() == {}
    assert cloud.run("plan").stdout.strip() == "Nothing would change."
    cloud.run("destroy", "--yes", "--keep-packages")
    _nothing_is_left(cloud)


@pytest.mark.parametrize(
    ("seconds", "told"), [(3, "nothing is left"), (60, "all is gone but the user skerry")]
)
def test_a_user_of_which_a_process_runs_is_waited_for(
    host: SimulatedMachine, seconds: int, told: str
) -> None:
    cloud = Cloud(host)
    run = cloud.start("up")
    assert run.process.stdout is not None
    next(line for line in run.process.stdout if "✓ service user" in line)
    run.signal(signal.SIGKILL)
    run.process.wait(at_most(30))
    asleep_for = str(seconds if told == "nothing is left" else at_most(seconds))
    asleep = host.popen(["setpriv", "--reuid=skerry", "--clear-groups", "sleep", asleep_for])
    try:
        done = cloud.run("destroy", "--yes", "--keep-packages")
        assert told in done.stderr
        if "but" in told:
            assert re.search(r"used by process \d+\): 'userdel skerry' removes it", done.stderr)
    finally:
        asleep.end()
        host.run(["userdel", "skerry"], check=False)
    _nothing_is_left(cloud)


def test_a_taken_port_names_the_program(host: SimulatedMachine) -> None:
    cloud = Cloud(host)
    taker = host.popen([sys.executable, "-m", "http.server", "13306", "--bind", "127.0.0.1"])
    try:
        assert taker.pid
        _wait_listening(host, 13306)
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
def test_a_wrong_cloud_toml_is_explained(host: SimulatedMachine, text: str, told: list[str]) -> None:
    cloud = Cloud(host)
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


def test_up_must_be_root(host: SimulatedMachine) -> None:
    cloud = Cloud(host)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = host.run([*nobody, *cloud.argv, "up"], check=False)
    assert done.returncode == 4
    assert "must be root" in done.stderr and "sudo" in done.stderr


def test_a_full_disk_loses_nothing(host: SimulatedMachine) -> None:
    cloud = Cloud(host)
    cloud.root.mkdir(exist_ok=True)
    host.run(["mount", "-t", "tmpfs", "-o", "size=9g", "tmpfs", str(cloud.root)])
    try:
        # Full in the middle: whatever breaks first, it is one sentence and the next command.
        run = cloud.start("up")
        assert run.process.stdout is not None
        said = ""
        for line in run.process.stdout:
            said += line
            if "✓ service user" in line:
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
        host.run(["umount", "--lazy", str(cloud.root)])


def _fill(cloud: Cloud) -> None:
    """No room is left for anything: the file system becomes as small as what is in it.

    That grows while services start, and a size below it is refused: then it is measured again.
    """
    for _ in range(20):
        used = cloud.host.run(["df", "-k", "--output=used", str(cloud.root)]).stdout.split()[-1]
        shrink = ["mount", "-o", f"remount,size={int(used) + 16}k", str(cloud.root)]
        if cloud.host.run(shrink, check=False).returncode == 0:
            return
    pytest.fail("the file system grows faster than it can be shrunk")


def _make_room(cloud: Cloud) -> None:
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
