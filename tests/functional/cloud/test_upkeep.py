"""Tasks of the upkeep on the real database, broker and switch, on a simulated machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.machines import SimulatedMachine
from tests.support.small_cloud_host import SmallCloud

QUEUE = """
import amqp, sys
from skerry.cloud.context import Context
ctx = Context.at(sys.argv[1])
connection = amqp.Connection(
    f"127.0.0.1:{ctx.port('rabbitmq')}", userid="openstack", password=ctx.secrets["rabbitmq"]
)
connection.connect()
channel = connection.channel()
quorum = {"x-queue-type": "quorum"}
for name in ("left", "full"):
    channel.queue_declare(name, durable=True, auto_delete=False, arguments=quorum)
channel.basic_publish_confirm(amqp.Message("x"), routing_key="full")
connection.close()
"""
COUNTED = """
import sys
from skerry.cloud.components.rabbitmq import RabbitMQ
from skerry.cloud.context import Context
ctx = Context.at(sys.argv[1])
ask = [ctx.platform.program("rabbitmqctl"), "-q", "list_queues", "name", "messages"]
print(ctx.platform.run(ask, env=RabbitMQ(ctx).environment()).stdout.replace("\\t", " "))
"""
STRANGER = """
import socket, sys
from skerry.cloud.context import Context
with socket.create_connection(("127.0.0.1", Context.at(sys.argv[1]).port("rabbitmq"))) as broker:
    broker.sendall(b"NOTAMQP!")
    broker.recv(8)
"""
ROWS = """
import sys
from skerry.cloud.components.upkeep.rows import count
from skerry.cloud.context import Context
print([count(Context.at(sys.argv[1]), ("old",), 30, besides) for besides in ("", "kept")])
"""

Within = Callable[..., Any]
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def host(machine: Callable[[str], Any]) -> Iterator[SimulatedMachine]:
    with machine("lasting") as host:
        yield host


@pytest.fixture(scope="module")
def cloud(host: SimulatedMachine) -> SmallCloud:
    cloud = SmallCloud(host)
    cloud.up()
    return cloud


def upkeep(cloud: SmallCloud, *tasks: str, code: int = 0) -> dict[str, tuple[str, str]]:
    done = cloud.run("upkeep", "--json", *tasks, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return {task["name"]: (task["outcome"], task["text"]) for task in json.loads(done.stdout)["tasks"]}


def test_databases_of_the_switch_become_small_again(cloud: SmallCloud) -> None:
    socket, database = (
        f"unix:{cloud.root}/run/skerry/ovn/ovn.sock",
        cloud.root / "var/lib/skerry/ovn/ovnnb.db",
    )
    for _ in range(20):
        words = [
            word
            for n in range(100)
            for word in ("--", "set", "nb_global", ".", f"external_ids:grown={n}{'x' * 400}")
        ]
        cloud.host.run(["ovn-nbctl", f"--db={socket}", *words[1:]])
    cloud.host.run(["ovn-nbctl", f"--db={socket}", "ls-add", "stays"])
    before = database.stat().st_size
    done = upkeep(cloud, "ovn-databases", "openvswitch-database")
    assert done["ovn-databases"][0] == "done" and database.stat().st_size < before / 2, done
    assert "stays" in cloud.host.run(["ovn-nbctl", f"--db={socket}", "ls-list"]).stdout
    assert cloud.lacks() == {}


def test_queues_that_nobody_reads(cloud: SmallCloud, within: Within) -> None:
    cloud.host.run([sys.executable, "-c", QUEUE, str(cloud.root)])
    assert upkeep(cloud, "rabbitmq-queues") == {"rabbitmq-queues": ("idle", "")}
    noted = cloud.root / "var/lib/skerry/unread-queues.json"
    seen = json.loads(noted.read_text())
    assert set(seen) == {"left", "full"}
    noted.write_text(json.dumps({name: since - 86400 for name, since in seen.items()}))
    # The broker counts a quorum queue's messages every five seconds.
    counted = [sys.executable, "-c", COUNTED, str(cloud.root)]
    within(30, "its message is counted", lambda: "full 1" in cloud.host.run(counted).stdout)
    outcome, text = upkeep(cloud, "rabbitmq-queues", code=7)["rabbitmq-queues"]
    assert outcome == "attention" and "full (1 messages)" in text
    assert set(json.loads(noted.read_text())) == {"full"}, "the empty one is gone"


def test_rows_are_counted_in_every_table_that_marks_them(cloud: SmallCloud) -> None:
    cloud.sql(
        "create database old; create table old.a (n int, deleted_at datetime); create table old.b (n int);"
        "create table old.kept (n int, deleted_at datetime); create table old.c (n int, deleted_at bigint);"
        "insert into old.a values (1, null), (2, utc_timestamp()), (3, utc_timestamp() - interval 31 day);"
        "insert into old.kept values (1, '2001-01-01'); insert into old.c values (1, 5)"
    )
    assert cloud.host.run([sys.executable, "-c", ROWS, str(cloud.root)]).stdout.strip() == "[2, 1]"
    cloud.sql("drop database old")


def test_a_log_that_has_grown(cloud: SmallCloud, within: Within) -> None:
    log = cloud.root / "var/log/skerry/rabbitmq.log"
    with log.open("ab") as file:
        file.truncate(21 << 20)
    assert upkeep(cloud, "logs") == {"logs": ("done", "rotated rabbitmq.log")}
    assert log.stat().st_size < 1 << 20 and log.with_name("rabbitmq.log.1").stat().st_size == 21 << 20
    # The service still writes to it: the broker notes who does not speak its protocol.
    cloud.host.run([sys.executable, "-c", STRANGER, str(cloud.root)])
    within(20, "it is written to", lambda: "bad_header" in log.read_text())


def test_the_service_runs_it_when_it_is_due(cloud: SmallCloud, within: Within) -> None:
    """With the whole command, which misses services that this cloud does not have."""
    state, pid = cloud.root / "var/lib/skerry", cloud.ready("upkeep")
    (state / "upkeep.due").write_text("1 2\n")
    cloud.host.run(["pkill", "-P", str(pid), "sleep"])
    within(90, "it has run", lambda: json.loads((state / "upkeep.json").read_text())["daily"], 1.0)
    last, due = map(int, (state / "upkeep.due").read_text().split())
    assert due - last == 86400 and last > 2
    assert cloud.ready("upkeep") == pid
    shown = cloud.run("status").stdout
    assert "upkeep          last ran 20" in shown and "keystone-tokens attention" in shown


def test_a_cloud_that_does_without(cloud: SmallCloud) -> None:
    cloud.set("[upkeep]\ndaily = false\n")
    try:
        assert "restart upkeep" in cloud.run("plan").stdout
        assert upkeep(cloud, "logs") == {"logs": ("idle", "")}
    finally:
        cloud.set("")
