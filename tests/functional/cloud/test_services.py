"""Steps, supervisor and configuration with the real database, broker and switch, on a simulated machine."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess
from typing import Any

import psutil
import pytest
from tests.support.deadlines import at_most
from tests.support.machines import ADDRESS, WORLD, SimulatedMachine
from tests.support.small_cloud_host import SmallCloud, gone, nothing_is_left

from skerry.cloud.platform.choice import platform_of
from skerry.cloud.supervise.service import OOM_PROTECTED, OOM_SUPERVISOR, OOM_UPKEEP

SWITCH = (
    "ovsdb",
    "ovs-vswitchd",
    *(("ovs-guestports",) if platform_of().network.datapath == "netdev" else ()),
)
SERVICES = ("mariadb", "rabbitmq", *SWITCH, "ovn-ovsdb", "ovn-northd", "ovn-controller", "upkeep")
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


@pytest.fixture(scope="module")
def host(machine: Callable[[str], Any]) -> Iterator[SimulatedMachine]:
    with machine("parts") as host:
        yield host


@pytest.fixture(scope="module")
def cloud(host: SimulatedMachine) -> SmallCloud:
    cloud = SmallCloud(host)
    cloud.up()
    return cloud


def test_all_are_ready_and_nothing_is_left_to_do(cloud: SmallCloud) -> None:
    assert cloud.lacks() == {}
    assert set(cloud.status()) == set(SERVICES)
    assert cloud.run("plan").stdout.strip() == "Nothing would change."
    assert cloud.up() == []


def test_every_command_is_logged_and_no_secret_is(cloud: SmallCloud) -> None:
    path = cloud.root / "var/log/skerry/skerry.log"
    text = path.read_text()
    assert re.search(r"verb: skerry --root \S+ up --json$", text, re.M)
    assert re.search(r"\] \d+\.\d{3} s, exit status 0: .*mariadb-install-db", text)
    assert re.search(r"started as process \d+: /bin/sh \S*keeper\.sh ", text)
    assert re.search(r"\] \d+\.\d{3} s, exit code 0: the verb$", text, re.M)
    assert path.stat().st_mode & 0o777 == 0o640
    secrets = json.loads((cloud.root / "etc/skerry/secrets.json").read_text())
    assert [name for name, value in secrets.items() if str(value) in text] == []
    before = len(text)
    shown = cloud.run("status", "-v")
    assert re.search(r"^\+ \d+\.\d{3} s, exit status 0: ovs-appctl ", shown.stderr, re.M)
    assert "ovs-appctl" not in shown.stdout
    assert re.search(r"verb: skerry --root \S+ status -v$", path.read_text()[before:], re.M)


def test_an_error_is_json_for_programs(cloud: SmallCloud) -> None:
    for words, name, code in (
        (["plan", "--json", "--nosuch"], "UsageError", 2),
        (["config", "explain", "nosuch/option", "--json"], "NotFoundError", 12),
    ):
        done = cloud.run(*words, check=False)
        error = json.loads(done.stderr.splitlines()[-1])["error"]
        assert (done.returncode, error["exit_code"], error["class"]) == (code, code, name)
        assert done.stdout == "" and error["message"]


def test_services_run_as_the_users_of_their_themes(cloud: SmallCloud) -> None:
    users = {"mariadb": "skerry-database", "rabbitmq": "skerry-broker", "upkeep": "root"}
    for name, service in cloud.status().items():
        user = cloud.host.run(["stat", "-c", "%U", f"/proc/{service['pid']}"]).stdout.strip()
        assert user == users.get(name, "skerry-switch"), f"{name} runs as {user}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_killed_service_is_ready_again(cloud: SmallCloud, within: Within, name: str) -> None:
    # The one before may have been the database that this one reads.
    old = within(READY_AGAIN, f"{name} is ready before the test", lambda: cloud.ready(name))
    cloud.kill(old)
    new = within(READY_AGAIN, f"{name} is ready again", lambda: cloud.ready(name))
    assert new != old


def test_data_outlives_a_kill(cloud: SmallCloud, within: Within) -> None:
    cloud.sql("create or replace table keystone.kept (n int); insert into keystone.kept values (42)")
    cloud.kill(cloud.ready("mariadb"))
    within(READY_AGAIN, "mariadb is ready again", lambda: cloud.ready("mariadb"))
    assert cloud.sql("select n from keystone.kept") == "42"


def test_the_database_behaves_as_upstream_has_tried_it(cloud: SmallCloud) -> None:
    """Whichever release of MariaDB it is: newer ones end a transaction whose row has changed, and compare otherwise."""
    known = "information_schema.system_variables where variable_name ="
    shown = cloud.sql(f"select global_value from {known} 'innodb_snapshot_isolation'")
    assert shown in ("OFF", "")  # empty: a release that does not have it yet
    cloud.sql("create database alike character set utf8mb3; create table alike.t (n text) charset utf8mb3")
    tables = "information_schema.tables where table_schema = 'alike'"
    assert cloud.sql(f"select table_collation from {tables}") == "utf8mb3_general_ci"
    cloud.sql("drop database alike")


def test_changed_configuration_restarts_just_that_service(cloud: SmallCloud) -> None:
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


def test_a_killed_supervisor_adopts_what_runs(cloud: SmallCloud, within: Within) -> None:
    before = {name: service["pid"] for name, service in cloud.status().items()}
    cloud.kill_supervisor()
    within(20, "all are ready", lambda: set(cloud.status()) == set(before) and not cloud.lacks())
    assert {name: service["pid"] for name, service in cloud.status().items()} == before
    assert cloud.run("plan").stdout.strip() == "Nothing would change."
    assert cloud.up() == []
    cloud.kill(before["mariadb"])
    within(READY_AGAIN, "mariadb is ready again", lambda: cloud.ready("mariadb"))
    assert cloud.ready("mariadb") != before["mariadb"]
    assert cloud.run("restart", "rabbitmq", "ovn-northd").returncode == 0 and cloud.lacks() == {}
    for name in ("mariadbd", "ovs-vswitchd", "beam.smp", "ovn-controller", "supervisord"):
        running = [p for p in cloud.host.processes() if _is(p, name)]
        assert len(running) == 1, f"{name}: {running}"
    assert cloud.sql("select 1") == "1"


def _is(process: psutil.Process, name: str) -> bool:
    try:
        return bool(process.name() == name and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_rotated_secret_reaches_the_database(cloud: SmallCloud) -> None:
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


def test_only_a_first_migration_that_was_torn_begins_with_empty_databases(cloud: SmallCloud) -> None:
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


def _login(cloud: SmallCloud, password: str) -> CompletedProcess[str]:
    words = ["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", "13306", "-u", "keystone", "-e", "select 1"]
    return cloud.host.run(words, env={"MYSQL_PWD": password}, check=False)


def test_a_second_run_is_refused(cloud: SmallCloud) -> None:
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


def test_another_root_of_the_machine_leaves_this_cloud_alone(cloud: SmallCloud) -> None:
    other = SmallCloud(cloud.host)
    other.root = cloud.host.folder / "r2"
    before = {name: service["pid"] for name, service in cloud.status().items()}
    for words in (["status"], ["down"], ["destroy", "--yes"], ["doctor"], ["restart", "mariadb"], ["ssh"]):
        done = other.run(*words, check=False)
        assert done.returncode == 12 and "There is no cloud under" in done.stderr, words
    done = other.run("up", check=False)
    assert done.returncode == 4
    assert (
        f"is taken by the cloud under {cloud.root}" in done.stderr
        and f"--root {cloud.root} down" in done.stderr
    )
    assert not other.root.exists(), "nothing was made"
    # What an older state of the other one had in the machine's network and made there is this cloud's now.
    for words in (["down"], ["destroy", "--yes", "--keep-packages"]):
        (other.root / "etc/skerry").mkdir(parents=True, exist_ok=True)
        other.set("")
        (other.root / "var/lib/skerry").mkdir(parents=True, exist_ok=True)
        (other.root / "var/lib/skerry/made-users").write_text("skerry-database\n")
        done = other.run(*words)
        assert f"the cloud under {cloud.root}" in done.stderr
    assert [path for path in other.root.rglob("*") if path.is_file()] == []
    cloud.host.run(["ip", "link", "show", "skerry-ext"])
    cloud.host.run(["nft", "list", "table", "ip", "skerry"])
    cloud.host.run(["getent", "passwd", "skerry-database"])
    assert cloud.lacks() == {}
    assert {name: service["pid"] for name, service in cloud.status().items()} == before
    assert cloud.run("plan").stdout.strip() == "Nothing would change."


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_an_interrupt_is_answered_at_once(cloud: SmallCloud, number: signal.Signals) -> None:
    cloud.run("down")
    run = cloud.start("up")
    assert run.process.stdout is not None
    next(line for line in run.process.stdout if "✓" in line)
    begun = time.monotonic()
    run.signal(number)
    answer = next(line for line in run.process.stdout if "Interrupted" in line)
    assert time.monotonic() - begun < at_most(2)
    assert "nothing more is started" in answer
    rest = run.process.stdout.read()
    assert run.process.wait(at_most(60)) == 130
    assert "Traceback" not in rest and "continues from here" in rest
    assert cloud.up() and cloud.lacks() == {}


def test_services_have_the_larger_share_of_busy_processors(cloud: SmallCloud) -> None:
    place = f"/proc/{cloud.status()['mariadb']['pid']}/autogroup"
    shown = cloud.host.run(["cat", place], check=False).stdout.split()
    if not shown:
        pytest.skip("this kernel shares the processors between processes, not sessions")
    assert shown[1:] == ["nice", "-5"]


def test_restart(cloud: SmallCloud) -> None:
    before = cloud.status()
    done = json.loads(cloud.run("restart", "mariadb", "--json").stdout)
    after = cloud.status()
    assert [row["name"] for row in done["services"]] == ["mariadb"]
    assert done["services"][0]["pid"] == after["mariadb"]["pid"] != before["mariadb"]["pid"]
    assert after["mariadb"]["ready"] and cloud.up() == []
    refused = cloud.run("restart", "mariabd", check=False)
    assert refused.returncode == 12 and "Did you mean 'mariadb'?" in refused.stderr


def test_who_goes_first_when_memory_is_short(cloud: SmallCloud) -> None:
    def score(pid: int) -> int:
        return int(cloud.host.run(["cat", f"/proc/{pid}/oom_score_adj"]).stdout)

    # A container may forbid to protect a process; that others go first is always possible.
    protects = cloud.host.run(["sh", "-c", "echo -1 >/proc/self/oom_score_adj"], check=False).returncode == 0
    scores = {name: score(service["pid"]) for name, service in cloud.status().items()}
    for name in ("mariadb", "ovsdb", "ovs-vswitchd", "ovn-ovsdb"):
        assert scores[name] == (OOM_PROTECTED if protects else 0), name
    assert scores["rabbitmq"] == 0 and scores["upkeep"] == OOM_UPKEEP
    supervisor = score(int(cloud.host.run(["cat", f"{cloud.root}/run/skerry/supervisord.pid"]).stdout))
    assert supervisor == (OOM_SUPERVISOR if protects else 0)


@pytest.mark.parametrize("supervised", [True, False], ids=["supervised", "its supervisor was killed"])
def test_down_and_up_keep_the_data(cloud: SmallCloud, supervised: bool) -> None:
    cloud.sql("create or replace table keystone.down (n int); insert into keystone.down values (7)")
    if not supervised:
        cloud.kill_supervisor()
    cloud.run("down")
    left = [p.name() for p in cloud.host.processes() if not gone(p)]
    assert left == [], "no process is left after 'down'"
    cloud.up()
    assert cloud.lacks() == {}
    assert cloud.sql("select n from keystone.down") == "7"


def test_the_pulled_plug_keeps_the_data(cloud: SmallCloud) -> None:
    cloud.sql("create or replace table keystone.plug (n int); insert into keystone.plug values (8)")
    cloud.host.power_off()
    cloud.host.power_on()
    cloud.up()
    assert cloud.lacks() == {}
    assert cloud.sql("select n from keystone.plug") == "8"


def test_a_cloud_of_one_user_gets_those_of_today(cloud: SmallCloud) -> None:
    cloud.sql("create or replace table keystone.one_user (n int); insert into keystone.one_user values (9)")
    places = [f"{cloud.root}/var/lib/skerry/{name}" for name in ("mariadb", "rabbitmq", "ovs", "ovn")]
    former = "useradd --system --gid skerry --no-create-home skerry; chown -R skerry:skerry"
    cloud.host.run(["sh", "-c", f'{former} "$1"', "sh", places[2]])
    refused = cloud.run("up", check=False)
    assert refused.returncode == 4 and "Run 'skerry down'" in refused.stderr
    cloud.run("down")
    cloud.host.run(["chown", "-R", "skerry:skerry", *places])
    note = cloud.root / "var/lib/skerry/made-user"
    cloud.host.run(["touch", str(note)])
    cloud.up()
    assert cloud.lacks() == {}
    assert cloud.sql("select n from keystone.one_user") == "9"
    left = cloud.host.run(["find", *places, "-user", "skerry", "-o", "-group", "skerry"]).stdout
    assert left == ""
    assert cloud.up() == []


def test_rules_of_the_firewall_are_kept(cloud: SmallCloud) -> None:
    ask = "import socket; socket.create_connection(('127.0.0.1', 13306), 3).recv(1)"
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", sys.executable, "-c", ask]
    assert "ConnectionRefusedError" in cloud.host.run(nobody, check=False).stderr
    tables = cloud.host.run(["nft", "list", "tables"]).stdout.splitlines()
    (table,) = [line for line in tables if "skerry_loopback" in line]
    cloud.host.run(["nft", "delete", *table.split()])
    assert cloud.host.run(nobody, check=False).returncode == 0
    assert cloud.up() == ["loopback"]
    assert "ConnectionRefusedError" in cloud.host.run(nobody, check=False).stderr


LISTENER = """
import socket, sys
listener = socket.create_server(("", 7007))
print("there", flush=True)
while True:
    listener.accept()[0].close()
"""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"
NEIGHBOURS = """
ip netns add lan; ip link add lan0 type veth peer name eth0 netns lan
ip address add 198.51.100.1/24 dev lan0; ip link set lan0 up
ip -n lan address add 198.51.100.2/24 dev eth0; ip -n lan link set eth0 up
ip -n lan route add default via 198.51.100.1
ip netns add guest; ip link add tap00000000-00 type veth peer name eth0 netns guest
ethtool -K tap00000000-00 tx off; ip netns exec guest ethtool -K eth0 tx off
ip -n guest address add 172.24.4.50/24 dev eth0; ip -n guest link set eth0 up
ip -n guest route add default via 172.24.4.1
ovs-vsctl --db=unix:$1/run/skerry/ovs/db.sock add-port br-ex tap00000000-00
"""


def test_guests_reach_nothing_of_the_host_which_forwards_for_them_alone(cloud: SmallCloud) -> None:
    cloud.host.run(["sh", "-ec", NEIGHBOURS, "sh", str(cloud.root)])
    world = cloud.host.lab.host("world")
    world.run(["ip", "route", "add", "198.51.100.0/24", "via", ADDRESS])
    world.run(["ip", "route", "add", "172.24.4.0/24", "via", ADDRESS])
    everywhere = [
        cloud.host.popen([*prefix, sys.executable, "-c", LISTENER])
        for prefix in ([], ["ip", "netns", "exec", "lan"], ["ip", "netns", "exec", "guest"])
    ]
    for listener in everywhere:
        assert listener.process.stdout is not None and listener.process.stdout.readline() == "there\n"

    def connects(address: str, port: int = 7007, *, by: Any = cloud.host, namespace: str = "") -> bool:
        prefix = ["ip", "netns", "exec", namespace] if namespace else []
        done = by.run([*prefix, sys.executable, "-c", CONNECT, address, str(port)], check=False)
        return bool(done.returncode == 0)

    try:
        for limited in (True, False):
            if not limited:
                (table,) = [
                    line
                    for line in cloud.host.run(["nft", "list", "tables"]).stdout.splitlines()
                    if "skerry_loopback" in line
                ]
                cloud.host.run(["nft", "delete", *table.split()])
            assert connects("172.24.4.1", namespace="guest") is not limited
            assert connects(ADDRESS, namespace="guest") is not limited
            assert connects("198.51.100.2", by=world) is not limited
            # What they must reach, and what reaches them.
            cloud.host.run(["ip", "netns", "exec", "guest", "ping", "-c1", "-W5", "172.24.4.1"])
            assert connects(WORLD, 80, namespace="guest")
            assert connects("172.24.4.50") and connects("172.24.4.50", by=world)
            assert connects(ADDRESS, by=world), "who is no guest is no business of the cloud"
    finally:
        for listener in everywhere:
            listener.end()
        switch = ["ovs-vsctl", f"--db=unix:{cloud.root}/run/skerry/ovs/db.sock"]
        cloud.host.run([*switch, "del-port", "br-ex", "tap00000000-00"])
        for name in ("lan", "guest"):
            cloud.host.run(["ip", "netns", "delete", name])
    assert cloud.up() == ["loopback"]


SITE = """
ip netns add site; ip link add eth2 type veth peer name eth0 netns site
ip netns exec site ethtool -K eth0 tx off
ip -n site address add 192.0.2.1/24 dev eth0; ip -n site link set eth0 up
ip link set eth2 up
"""
GUEST = """
ip netns add guest; ip link add tap00000000-01 type veth peer name eth0 netns guest
ethtool -K tap00000000-01 tx off; ip netns exec guest ethtool -K eth0 tx off
ip -n guest address add 192.0.2.50/24 dev eth0; ip -n guest link set eth0 up
ovs-vsctl --db=unix:$1/run/skerry/ovs/db.sock add-port br-ex tap00000000-01
"""
WITH_A_ROUTER = """
[[host]]
external_interface = "eth2"
[external]
cidr = "192.0.2.0/24"
gateway = "192.0.2.1"
"""


def test_an_external_network_with_a_router_of_its_own(cloud: SmallCloud) -> None:
    def links() -> set[str]:
        return {link["ifname"] for link in json.loads(cloud.host.run(["ip", "-j", "link"]).stdout)}

    switch = ["ovs-vsctl", f"--db=unix:{cloud.root}/run/skerry/ovs/db.sock"]
    cloud.set(WITH_A_ROUTER)
    try:
        refused = cloud.run("up", check=False)
        assert refused.returncode == 4 and "this machine has no interface 'eth2'" in refused.stderr
        cloud.host.run(["sh", "-ec", SITE])
        cloud.host.run(["ip", "address", "add", "192.0.2.7/24", "dev", "eth2"])
        refused = cloud.run("up", check=False)
        assert refused.returncode == 4 and "'eth2' has the address 192.0.2.7/24" in refused.stderr
        cloud.host.run(["ip", "address", "flush", "dev", "eth2"])
        cloud.up()
        assert cloud.run("plan").stdout.strip() == "Nothing would change."
        assert "skerry-ext" not in links()
        assert cloud.host.run(["nft", "list", "table", "ip", "skerry"], check=False).returncode != 0
        assert cloud.host.run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout.strip() == "0"
        cloud.host.run(["sh", "-ec", GUEST, "sh", str(cloud.root)])
        cloud.host.run(["ip", "netns", "exec", "guest", "ping", "-c1", "-W10", "192.0.2.1"])
        who_has = ["ip", "netns", "exec", "site", "arping", "-c1", "-w3", "-I", "eth0", ADDRESS]
        assert cloud.host.run(who_has, check=False).returncode != 0, "the host keeps off the interface"
    finally:
        cloud.set("")
        cloud.up()
        cloud.host.run([*switch, "--if-exists", "del-port", "br-ex", "tap00000000-01"])
        for name in ("guest", "site"):
            cloud.host.run(["ip", "netns", "delete", name], check=False)
    assert "eth2" not in cloud.host.run([*switch, "list-ports", "br-ex"]).stdout.split()
    assert "skerry-ext" in links() and cloud.lacks() == {}
    assert cloud.run("plan").stdout.strip() == "Nothing would change."


# The cloud is removed here.


def test_destroy_leaves_nothing(cloud: SmallCloud) -> None:
    assert cloud.run("destroy", check=False).returncode == 11, "the word was not typed"
    assert cloud.lacks() == {}
    cloud.run("destroy", "--yes", "--keep-packages")
    nothing_is_left(cloud)
