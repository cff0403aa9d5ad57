"""Each check of the doctor finds the real fault that it is about, states what shows it, and what to do."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from skerry.cloud.doctor.examination import CHECKS

if TYPE_CHECKING:
    from tests.support.cloud import Cloud

# On the machine of the cloud, with its context.
PRELUDE = """
import os, signal, subprocess, sys, time
from pathlib import Path
from skerry.cloud.components.libvirt.component import Libvirt
from skerry.cloud.context import Context
from skerry.cloud.steps.access.loopback import LoopbackRules
ctx = Context.at(sys.argv[1])
def add(name, text, path="50-site.conf"):
    with (ctx.layout.etc / name / path).open("a") as file: file.write(text)
def cut(name, text, path="50-site.conf"):
    file = ctx.layout.etc / name / path
    file.write_text(file.read_text().replace(text, ""))
APART = {"start_new_session": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
def attempt(text):
    try: exec(text, globals())
    except Exception as error: print(text, error)
def pid(name): return ctx.supervisor.process(name).pid
def sql(text):
    from skerry.cloud.steps.database import connect
    with connect(ctx) as root, root.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall()
def broker(*words):
    from skerry.cloud.components.rabbitmq import RabbitMQ
    ctx.platform.run([ctx.platform.program("rabbitmqctl"), "-q", *words], env=RabbitMQ(ctx).environment())
"""


@dataclass(frozen=True)
class Case:
    """A fault: how it begins and ends (Python, on the machine), and what is found of it."""

    begin: str
    end: str
    what: str  # in the finding or its evidence
    remedy: str  # in what is to be done
    fixed: bool = False  # whether 'doctor --fix' repairs it


CASES = {
    "services-up": Case(
        "os.kill(pid('nova-scheduler'), signal.SIGSTOP)",
        "os.kill(pid('nova-scheduler'), signal.SIGCONT)",
        "nova-scheduler was stopped by a signal",
        "kill -CONT",
        fixed=True,
    ),
    "services-steady": Case(
        "os.kill(pid('nova-serialproxy'), signal.SIGKILL)", "", "nova-serialproxy ended by itself", "logs"
    ),
    "services-up-to-date": Case(
        "add('glance', '[DEFAULT]\\ndebug = true\\n')",
        "cut('glance', '[DEFAULT]\\ndebug = true\\n')",
        "glance-api",
        "skerry plan",
    ),
    "broker-login": Case(
        "broker('change_password', 'openstack', 'wrong')",
        "broker('change_password', 'openstack', ctx.secrets['rabbitmq'])",
        "ACCESS_REFUSED",
        "skerry up",
    ),
    "broker-alarms": Case(
        "broker('set_disk_free_limit', '100000GB')",
        "broker('set_disk_free_limit', '100MB')",
        "disk",
        "Free some disk",
    ),
    "queues-read": Case(
        """
import amqp
c = amqp.Connection(f"127.0.0.1:{ctx.port('rabbitmq')}", userid='openstack', password=ctx.secrets['rabbitmq'])
c.connect(); channel = c.channel()
channel.queue_declare('left-behind', durable=True, auto_delete=False)
for n in range(30): channel.basic_publish(amqp.Message('x'), routing_key='left-behind')
c.close()
""",
        "broker('delete_queue', 'left-behind')",
        "queue left-behind has 30 messages",
        "gone or hangs",
    ),
    "database-connections": Case(
        "sql(f\"set global max_connections = {max(10, int(len(sql('show processlist')) / 0.9))}\")",
        "sql('set global max_connections = 400')",
        "connections are in use",
        "max_overflow",
    ),
    "database-accounts": Case(
        """
for host in ("localhost", "127.0.0.1"):
    sql(f"set password for placement@{host!r} = password('wrong')")
""",
        """
for host in ("localhost", "127.0.0.1"):
    sql(f"set password for placement@{host!r} = password({ctx.secrets['db-placement']!r})")
""",
        "placement cannot open database placement",
        "skerry up",
    ),
    "compute-alive": Case(
        "a = ctx.api.compute; s = next(a.services(binary='nova-compute')); a.disable_service(s, s.host, s.binary)",
        "a = ctx.api.compute; s = next(a.services(binary='nova-compute')); a.enable_service(s, s.host, s.binary)",
        "nova-compute on .* is disabled",
        "compute service set --enable",
    ),
    "hosts-usable": Case(
        """
p = next(ctx.api.placement.resource_providers()); at = f'/resource_providers/{p.id}/traits'
now = ctx.api.placement.get(at, microversion='1.6').json()
now['traits'].append('COMPUTE_STATUS_DISABLED')
assert ctx.api.placement.put(at, json=now, microversion='1.6').ok
""",
        "",
        "disabled in placement",
        "restart nova-compute",
        fixed=True,
    ),
    "metadata-proxies": Case(
        """
from skerry.cloud.doctor.agents import running_proxies
for pids in running_proxies(ctx.layout).values():
    for one in pids: os.kill(one, signal.SIGTERM)
""",
        "",
        "no metadata proxy",
        "Restart neutron-ovn-metadata-agent",
        fixed=True,
    ),
    "hypervisor-answers": Case(
        "os.kill(pid('libvirtd'), signal.SIGSTOP)",
        "os.kill(pid('libvirtd'), signal.SIGCONT)",
        "libvirt does not answer",
        "Restart libvirtd",
        fixed=True,  # as a service that was stopped
    ),
    "guests-known": Case(
        """
xml = "<domain type='qemu'><name>stranger</name><memory>65536</memory><os><type arch='x86_64'>hvm</type></os></domain>"
ctx.platform.run(["virsh", "--connect", Libvirt(ctx).uri, "define", "/dev/stdin"], input=xml)
""",
        'ctx.platform.run(["virsh", "--connect", Libvirt(ctx).uri, "undefine", "stranger"])',
        "guest stranger that nova does not know",
        "undefine stranger",
    ),
    "hypervisor-fit": Case("", "", "translated", ""),  # as it is without KVM
    "disk-space": Case(
        """
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "full", ctx.layout.cache], check=True)
(ctx.layout.cache / "all").write_bytes(bytes(4 << 20))
""",
        "subprocess.run(['umount', ctx.layout.cache], check=True)",
        "the disk is full",
        "Delete servers",
    ),
    "clock": Case(
        # Of a host that nobody else knows: what runs would put its own right within ten seconds.
        """
sql('''insert into nova.services
    (created_at, updated_at, host, `binary`, topic, report_count, disabled, deleted, forced_down, version, uuid)
    select created_at, utc_timestamp() + interval 1 day, 'ahead', `binary`, topic, 1, 0, 0, 0, version, uuid()
    from nova.services where topic = 'scheduler' limit 1''')
""",
        "sql(\"delete from nova.services where host = 'ahead'\")",
        "heartbeats from the future",
        "Set the clock right",
    ),
    "ports": Case(
        """
ctx.supervisor.stop("nova-novncproxy")
code = f"import socket, time; s = socket.create_server(('127.0.0.1', {ctx.port('novnc')})); time.sleep(600)"
other = subprocess.Popen([sys.executable, "-c", code], **APART)
(ctx.layout.run / "other").write_text(str(other.pid))
""",
        """
os.kill(int((ctx.layout.run / "other").read_text()), signal.SIGKILL)
(ctx.layout.run / "other").unlink()
""",
        r"Port \d+ \(novnc\) is taken by python",
        "Stop that program",
    ),
    "host-identity": Case(
        "subprocess.run(['hostname', 'renamed'], check=True)",
        "subprocess.run(['hostname', ctx.host.name], check=True)",
        "the machine is called renamed now, and stays host",
        "",
    ),
    "left-overs": Case(
        """
mark = {**os.environ, "SKERRY_SERVICE": str(ctx.layout.etc / "services/cinder-api.json")}
subprocess.Popen(["sleep", "777"], env=mark, **APART)
""",
        "",
        "left of an earlier run of cinder-api",
        "kill",
        fixed=True,
    ),
    "host-network": Case(
        "subprocess.run(['ip', 'address', 'flush', 'dev', 'skerry-ext'], check=True)",
        "",
        "the host's way to the external network is broken",
        "skerry up",
        fixed=True,
    ),
    "forwarding-allowed": Case(
        """
rules = "table ip docker {\\nchain forward {\\ntype filter hook forward priority 0; policy drop;\\n}\\n}\\n"
ctx.platform.run(["nft", "-f", "-"], input=rules)
""",
        "ctx.platform.run(['nft', 'delete', 'table', 'ip', 'docker'])",
        "drops what is forwarded",
        "Let the guests through",
    ),
    "private-files": Case(
        "ctx.secrets.path.chmod(0o644)", "", "can be read by others", "secrets rotate", fixed=True
    ),
    "valid-options": Case(
        "add('nova', '[DEFAULT]\\nreserved_host_memory = 1\\n')",
        "cut('nova', '[DEFAULT]\\nreserved_host_memory = 1\\n')",
        "did you mean",
        "Fix the line",
    ),
    "images": Case(
        """
image = next(ctx.api.image.images(name="tiny"))
with (ctx.layout.state / "glance/images" / image.id).open("r+b") as file:
    file.seek(4096); was = file.read(16)
    file.seek(4096); file.write(bytes(255 - byte for byte in was))
""",
        """
image = next(ctx.api.image.images(name="tiny"))
with (ctx.layout.state / "glance/images" / image.id).open("r+b") as file:
    file.seek(4096); was = file.read(16)
    file.seek(4096); file.write(bytes(255 - byte for byte in was))
""",
        "image tiny does not match its record: its content is another",
        "Upload the image again",
    ),
    "upkeep": Case(
        """
from skerry.cloud.operations.upkeep.upkeep import upkeep
key = ctx.layout.state / "keystone/fernet-keys/0"
key.rename(key.with_name("0.elsewhere"))
upkeep(sys.argv[1], ["keystone-tokens"], print)
""",
        """
from skerry.cloud.operations.upkeep.upkeep import upkeep
key = ctx.layout.state / "keystone/fernet-keys/0"
key.with_name("0.elsewhere").rename(key)
upkeep(sys.argv[1], ["keystone-tokens"], print)
""",
        "has no key 0",
        "skerry upkeep",
    ),
    # Its disk is empty.
    "servers-booting": Case(
        """
api = ctx.api.compute
image = ctx.api.image.create_image(name="empty", data=bytes(1 << 20), disk_format="raw", container_format="bare")
flavor, network = api.find_flavor("m1.nano"), ctx.api.network.find_network("private")
server = api.create_server(name="slow", flavor_id=flavor.id, image_id=image.id, networks=[{"uuid": network.id}])
while api.get_server(server.id).status == "BUILD":
    time.sleep(0.5)
""",
        """
ctx.api.compute.delete_server(ctx.api.compute.find_server("slow"))
ctx.api.image.delete_image(ctx.api.image.find_image("empty"))
""",
        "server slow still boots",
        "openstack console log show",
    ),
    "loopback": Case(
        "ctx.platform.network.open_loopback(LoopbackRules(ctx).table)",
        "LoopbackRules(ctx).apply(print)",
        "table skerry_loopback.* is not as it should be",
        "skerry up",
        fixed=True,
    ),
    "servers-in-error": Case(
        """
api = ctx.api.compute
flavor = api.create_flavor(name="vast", ram=64, vcpus=1, disk=1 << 20)  # GiB
network, image = ctx.api.network.find_network("private"), ctx.api.image.find_image("tiny")
server = api.create_server(name="vast", flavor_id=flavor.id, image_id=image.id, networks=[{"uuid": network.id}])
while api.get_server(server.id).status == "BUILD":
    time.sleep(1)
""",
        """
api = ctx.api.compute
api.delete_server(api.find_server("vast"))
api.delete_flavor(api.find_flavor("vast"))
""",
        "server vast is in ERROR: no host had room",
        "Take a smaller flavor",
    ),
}
# What no test can do to a machine that it shares (use all its memory), or only in minutes (agents are given 75 s).
NOT_HERE = {"memory", "network-agents-alive"}
# All at once, in this order: what others need is broken last.
ORDER = (
    *(
        "servers-in-error",
        "loopback",
        "images",
        "upkeep",
        "queues-read",
        "services-up",
        "clock",
        "services-steady",
        "ports",
        "left-overs",
        "host-identity",
    ),
    *("services-up-to-date", "valid-options", "private-files", "disk-space", "host-network"),
    *("forwarding-allowed", "hosts-usable", "metadata-proxies", "guests-known"),
    *("hypervisor-fit", "database-accounts", "database-connections", "broker-login", "broker-alarms"),
)
# One after the other: others cannot be seen beside them.
ALONE = ("servers-booting", "hypervisor-answers", "compute-alive")
Found = dict[str, list[dict[str, Any]]]


def inside(cloud: Cloud, script: str) -> str:
    argv = [sys.executable, "-c", PRELUDE + script, str(cloud.root)]
    return str(cloud.host.run(argv, timeout=60).stdout)


def doctor(cloud: Cloud, *words: str) -> dict[str, Any]:
    done = cloud.run("doctor", "--json", *words, check=False, timeout=180)
    assert done.returncode in (0, 9), done.stderr
    return dict(json.loads(done.stdout))


@dataclass(frozen=True)
class Reports:
    """What the doctor finds, by check: of all faults at once, and after ``--fix`` of those that it repairs."""

    found: Found
    left: Found


@pytest.fixture(scope="module")
def reports(whole: Cloud) -> Iterator[Reports]:
    """All faults have ended when the first test looks at what was found of them."""
    with whole.host.network():
        whole.all_ready(30)
    fixed = [name for name in ORDER if CASES[name].fixed]
    others = [name for name in ORDER if not CASES[name].fixed]
    try:
        print(inside(whole, "\n".join(f"attempt({CASES[name].begin!r})" for name in ORDER)))
        found = by_check(doctor(whole))
    finally:
        print(inside(whole, ends(others)))
    try:
        left = by_check(doctor(whole, "--fix"))
    finally:
        print(inside(whole, ends(fixed)))
    yield Reports(found, left)


def ends(names: list[str]) -> str:
    return "\n".join(f"attempt({CASES[name].end!r})" for name in reversed(names))


def by_check(report: dict[str, Any]) -> Found:
    rows: Found = {}
    for row in report["findings"]:
        rows.setdefault(row["check"], []).append(row)
    return rows


def fits(case: Case, rows: Found, name: str) -> list[dict[str, Any]]:
    """The findings of a check that are about the fault."""
    return [
        row for row in rows.get(name, []) if re.search(case.what, "\n".join([row["what"], *row["evidence"]]))
    ]


def test_each_check_has_its_fault() -> None:
    assert {check.name for check in CHECKS} == {*CASES, *NOT_HERE}
    assert {*ORDER, *ALONE} == set(CASES)


@pytest.mark.parametrize("name", ORDER)
def test_a_fault_is_found(reports: Reports, name: str) -> None:
    case = CASES[name]
    fitting = fits(case, reports.found, name)
    assert fitting, f"{name} found {reports.found.get(name)}"
    assert case.remedy in fitting[0]["remedy"]
    assert fitting[0]["fixable"] == case.fixed


@pytest.mark.parametrize("name", [name for name in ORDER if CASES[name].fixed])
def test_a_fault_is_fixed(reports: Reports, name: str) -> None:
    assert not fits(CASES[name], reports.left, name)


@pytest.mark.parametrize("name", ALONE)
def test_a_fault_is_found_and_ends(cloud: Cloud, name: str) -> None:
    case = CASES[name]
    inside(cloud, case.begin)
    try:
        (finding, *_) = fits(case, by_check(doctor(cloud)), name)
        assert case.remedy in finding["remedy"]
        left = by_check(doctor(cloud, "--fix")) if case.fixed else {}
        assert not fits(case, left, name)
    finally:
        inside(cloud, case.end)
    assert not fits(case, by_check(doctor(cloud)), name)


def test_a_machine_with_another_name_stays_the_host_that_it_was(cloud: Cloud) -> None:
    before = json.loads(cloud.run("openstack", "hypervisor", "list", "-f", "json").stdout)
    called = cloud.host.run(["hostname"]).stdout.strip()
    cloud.host.run(["hostname", "renamed"])
    try:
        cloud.host.run(["kill", "-9", str(cloud.status()["libvirtd"]["pid"])])
        cloud.host.run(["kill", "-9", str(cloud.status()["nova-compute"]["pid"])])
        cloud.run("up", timeout=300)
        assert cloud.run("plan").stdout.strip() == "Nothing would change."
        assert json.loads(cloud.run("openstack", "hypervisor", "list", "-f", "json").stdout) == before
    finally:
        cloud.host.run(["hostname", called])


def test_the_cloud_is_healthy_after_all_that(cloud: Cloud) -> None:
    cloud.run("up", timeout=300)
    cloud.all_ready(30)
    # What tests have killed in the last ten minutes is rightly shown: services are started again, and it is said.
    left = [row for row in doctor(cloud)["findings"] if row["check"] != "services-steady"]
    assert [row for row in left if row["severity"] != "note"] == []
