"""Faults: each has its effect on the real traffic, and heals by its time."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from skerry.common.errors import NotFoundError, PreflightError
from skerry.lab.lab import Lab
from skerry.lab.status import status
from skerry.lab.testing import MakeLab, lab_root

LAB = """
name = "faults"
host = [{name = "h1"}, {name = "h2"}, {name = "h3"}, {name = "h4"}]
switch = [{name = "tor"}, {name = "core", kind = "ovs"}]
[[link]]
ends = ["h1:eth0", "tor"]
addresses = ["10.77.0.1/24"]
[[link]]
ends = ["h2:eth0", "core"]
addresses = ["10.77.0.2/24"]
[[link]]
name = "trunk"
ends = ["tor", "core"]
[[link]]
ends = ["h1:direct", "h3:direct"]
addresses = {"h1:direct" = ["10.78.0.1/30"], "h3:direct" = ["10.78.0.2/30"]}
[[link]]
ends = ["h4:eth0", "tor"]
addresses = ["10.77.0.4/24"]
rate = "20mbit"
delay = "10ms"
"""
SINK = """
import socket, time
server = socket.create_server(("", 5001))
print("ready", flush=True)
link, _ = server.accept()
count, first = 0, None
while data := link.recv(1 << 20):
    first = first or time.monotonic()
    count += len(data)
print(count * 8 / (time.monotonic() - first))
"""
SOURCE = """
import socket, sys, time
link = socket.socket()
link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)  # what is in it at the end takes its time too
link.connect((sys.argv[1], 5001))
until = time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    link.sendall(bytes(65536))
"""
KILLED = """
import os, signal, sys
from skerry.lab.lab import Lab
from skerry.lab.links import shaping

def apply(*given, real=shaping.apply):
    real(*given)
    os.kill(os.getpid(), signal.SIGKILL)

shaping.apply = apply
Lab.open("faults", sys.argv[1]).break_(sys.argv[2], link="h1:eth0", value=float(sys.argv[3]), duration=2)
"""
Within = Callable[[float, str, Callable[[], Any]], Any]
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def up(make_lab: MakeLab) -> Iterator[Lab]:
    with make_lab(LAB) as lab:
        yield lab


@pytest.fixture
def lab(up: Lab) -> Iterator[Lab]:
    yield up
    up.heal()


def ping(lab: Lab, host: str, address: str, count: int = 5) -> tuple[float, float]:
    """The share of pings that were lost, and the least time of an answer in seconds."""
    argv = ["ping", "-c", str(count), "-i", "0.01", "-W", "0.5", "-q", address]
    text = lab.host(host).run(argv, check=False).stdout
    lost = re.search(r"([\d.]+)% packet loss", text)
    least = re.search(r"min/avg/max/mdev = ([\d.]+)/", text)
    assert lost, text
    return float(lost[1]) / 100, float(least[1]) / 1000 if least else float("inf")


def throughput(lab: Lab, host: str, to: str, address: str, seconds: float = 1) -> float:
    """Bits per second of one TCP connection."""
    sink = lab.host(to).popen([sys.executable, "-u", "-c", SINK])
    try:
        assert sink.process.stdout is not None
        assert sink.process.stdout.readline() == "ready\n"
        lab.host(host).run([sys.executable, "-c", SOURCE, address, str(seconds)])
        return float(sink.process.stdout.read())
    finally:
        sink.end()


def measured(least: float, measure: Callable[[], float], most: float = 1e12) -> None:
    """A measurement is within its bounds: one of ten, since a busy machine keeps frames and programs waiting."""
    values: list[float] = []
    while not values or not least <= values[-1] <= most:
        assert len(values) < 10, f"none of {values} is between {least} and {most}"
        values.append(measure())


def carrier(lab: Lab, host: str, interface: str = "eth0") -> str:
    return lab.host(host).run(["cat", f"/sys/class/net/{interface}/carrier"]).stdout.strip()


def skerry(*words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "skerry.cli.main", "--root", str(lab_root()), "lab", *words]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def faults(lab: Lab) -> list[dict[str, Any]]:
    return list(status(lab.name, lab_root())["faults"])


def test_without_faults_traffic_passes_bridge_and_open_vswitch(lab: Lab, within: Within) -> None:
    within(20, "no ping is lost", lambda: ping(lab, "h1", "10.77.0.2")[0] == 0)
    # TCP too: the switch in userspace drops what has an unfinished checksum.
    measured(50e6, lambda: throughput(lab, "h1", "h2", "10.77.0.2", 0.5))
    measured(50e6, lambda: throughput(lab, "h2", "h1", "10.77.0.1", 0.5))


def test_what_the_file_says_of_a_link(lab: Lab, within: Within) -> None:
    def delayed_and_not_lost() -> bool:
        lost, least = ping(lab, "h1", "10.77.0.4")
        return lost == 0 and 0.02 <= least < 0.03

    within(20, "pings take as long as they must, and none is lost", delayed_and_not_lost)
    measured(14e6, lambda: throughput(lab, "h1", "h4", "10.77.0.4"), 21e6)


def test_cut(lab: Lab) -> None:
    with lab.cut("h1:eth0"):
        assert carrier(lab, "h1") == "0"
        assert ping(lab, "h1", "10.77.0.2", 2)[0] == 1
        assert carrier(lab, "h2") == "1"
    assert carrier(lab, "h1") == "1"
    measured(0, lambda: ping(lab, "h1", "10.77.0.2")[0], 0)


def test_cut_between_two_hosts_takes_the_carrier_of_both(lab: Lab) -> None:
    with lab.cut("h3:direct"):
        assert (carrier(lab, "h1", "direct"), carrier(lab, "h3", "direct")) == ("0", "0")
    assert (carrier(lab, "h1", "direct"), carrier(lab, "h3", "direct")) == ("1", "1")


def test_cut_silently(lab: Lab) -> None:
    with lab.cut("trunk", silent=True):
        assert ping(lab, "h1", "10.77.0.2", 2)[0] == 1
        assert carrier(lab, "h1") == "1"
    measured(0, lambda: ping(lab, "h1", "10.77.0.2")[0], 0)


@pytest.mark.parametrize("link", ["h1:direct", "trunk"])
def test_rate(lab: Lab, link: str) -> None:
    host, address = ("h3", "10.78.0.2") if link == "h1:direct" else ("h2", "10.77.0.2")
    with lab.rate(link, 10_000_000):
        measured(6e6, lambda: throughput(lab, "h1", host, address), 10.5e6)
    measured(50e6, lambda: throughput(lab, "h1", host, address, 0.5))


def test_loss(lab: Lab) -> None:
    with lab.loss("h1:direct", 0.3):
        lost, _ = ping(lab, "h1", "10.78.0.2", 100)
        assert 0.3 < lost < 0.7  # 51 % there and back; 5 deviations are 25 %
    measured(0, lambda: ping(lab, "h1", "10.78.0.2", 20)[0], 0)


def test_delay(lab: Lab) -> None:
    with lab.delay("trunk", 0.02):
        measured(0.04, lambda: ping(lab, "h1", "10.77.0.2")[1], 0.05)
        # In its order, and with loss where both are wanted.
        with lab.loss("trunk", 0.3):
            assert 0.3 < ping(lab, "h1", "10.77.0.2", 100)[0] < 0.7
        with lab.cut("trunk", silent=True):
            assert ping(lab, "h1", "10.77.0.2", 2)[0] == 1
        assert ping(lab, "h1", "10.77.0.2")[1] >= 0.04
    measured(0, lambda: ping(lab, "h1", "10.77.0.2")[1], 0.01)


def test_two_faults_on_one_link_heal_apart(lab: Lab) -> None:
    with lab.rate("h1:direct", 5_000_000):
        with lab.rate("h1:direct", 10_000_000):
            measured(0, lambda: throughput(lab, "h1", "h3", "10.78.0.2"), 5.3e6)
        measured(0, lambda: throughput(lab, "h1", "h3", "10.78.0.2"), 5.3e6)


def test_a_fault_heals_by_its_time_although_its_command_has_ended(lab: Lab, within: Within) -> None:
    command = skerry("fault", "cut", "h1:eth0", "--lab", "faults", "--for", "3s")
    out, _ = command.communicate(timeout=20)
    done = time.monotonic()
    assert command.returncode == 0 and "heals in 3 s" in out
    assert carrier(lab, "h1") == "0"
    assert 0 < faults(lab)[0]["heals_in"] <= 3
    within(10, "the carrier is back", lambda: carrier(lab, "h1") == "1")
    assert time.monotonic() - done > 0.5
    within(5, "the fault is off the list", lambda: not faults(lab))


def test_a_fault_heals_although_its_command_was_killed(lab: Lab, within: Within) -> None:
    command = skerry("fault", "cut", "h1:eth0", "--lab", "faults", "--for", "3s")
    within(10, "the fault is there", lambda: carrier(lab, "h1") == "0")
    command.send_signal(signal.SIGKILL)
    command.communicate()
    within(10, "the carrier is back", lambda: carrier(lab, "h1") == "1")


@pytest.mark.parametrize(("kind", "value"), [("cut", 0.0), ("silent", 0.0), ("delay", 0.05), ("rate", 1e6)])
def test_a_fault_heals_whose_command_was_killed_before_it_wrote_what_it_had_done(
    lab: Lab, within: Within, kind: str, value: float
) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(lab_root()), kind, str(value)], check=False)
    assert ended.returncode == -signal.SIGKILL
    within(20, "the fault is off the list", lambda: not faults(lab))

    def as_before() -> bool:
        lost, least = ping(lab, "h1", "10.77.0.2")
        return lost == 0 and least < 0.04

    within(20, "frames pass as before", as_before)
    measured(20e6, lambda: throughput(lab, "h1", "h2", "10.77.0.2", 0.5))
    # A delay line that was left would give every frame a second time, 50 ms later: ping must run for longer than that.
    assert "DUP" not in lab.host("h1").run(["ping", "-c", "30", "-i", "0.01", "10.77.0.2"]).stdout


def test_freeze(lab: Lab) -> None:
    program = lab.host("h1").popen(["sleep", "777"])
    try:
        assert program.pid
        with lab.freeze("h1", "sleep"):
            assert lab.host("h1").run(["ps", "-C", "sleep", "-o", "stat=,args="]).stdout.split()[-3][0] == "T"
        states = lab.host("h1").run(["ps", "-C", "sleep", "-o", "stat="]).stdout.split()
        assert not [state for state in states if state.startswith("T")]
    finally:
        program.end()


def test_freeze_by_number_and_heal_by_time(lab: Lab, within: Within) -> None:
    program = lab.host("h1").popen(["sleep", "777"])
    try:
        assert program.pid
        number = lab.host("h1").run(["pgrep", "-x", "-n", "sleep"]).stdout.strip()
        lab.break_("freeze", host="h1", process=number, duration=2)

        def state() -> str:
            return lab.host("h1").run(["ps", "-p", number, "-o", "stat="]).stdout[:1]

        assert state() == "T"
        within(10, "it continues", lambda: state() == "S")
    finally:
        program.end()


def test_kill(lab: Lab, within: Within) -> None:
    program = lab.host("h1").popen(["sleep", "777"])
    assert program.pid
    lab.break_("kill", host="h1", process="sleep")
    assert program.process.wait(5) != 0
    assert faults(lab) == []
    lab.host("h1").run(["true"])  # the first process sleeps too, and is spared


def test_kill_what_comes_back(lab: Lab, within: Within) -> None:
    def newest() -> int:
        """The number of the newest sleep but the first process, else 0."""
        number = int(lab.host("h1").run(["pgrep", "-nx", "sleep"]).stdout)
        return number if number > 1 else 0

    service = lab.host("h1").popen(["sh", "-c", "while :; do sleep 777; done"])
    try:
        first = within(3, "it runs", newest)
        lab.break_("kill", host="h1", process="sleep", duration=3)
        second = within(2.5, "it has come back", lambda: newest() not in (0, first) and newest())
        within(10, "the fault is off the list", lambda: not faults(lab))
        third = within(3, "it runs again", newest)
        assert first != second != third
        time.sleep(0.3)
        assert newest() == third
    finally:
        service.end()


def test_power(lab: Lab) -> None:
    host = lab.host("h1")
    host.run(
        ["sh", "-c", "echo kept > /etc/kept; echo kept > /var/lib/kept; echo '9.9.9.9 nine' >> /etc/hosts"]
    )
    host.run(["touch", "/run/lost", "/tmp/lost", "/dev/shm/lost"])
    program = host.popen(["sleep", "777"])
    assert program.pid
    peer = lab.host("h3").run(["cat", "/sys/class/net/direct/ifindex"]).stdout
    with lab.without_power("h1"):
        assert program.process.wait(5) != 0
        assert host.pid == 0
        with pytest.raises(PreflightError, match="h1 is off"):
            host.run(["true"])
        assert carrier(lab, "h3", "direct") == "0"
        assert ping(lab, "h2", "10.77.0.1", 2)[0] == 1
        assert status("faults", lab_root())["complete"] is False
    assert host.run(["cat", "/etc/kept", "/var/lib/kept"]).stdout == "kept\nkept\n"
    assert "9.9.9.9 nine" in host.run(["cat", "/etc/hosts"]).stdout
    for path in ("/run/lost", "/tmp/lost", "/dev/shm/lost"):
        assert host.run(["test", "-e", path], check=False).returncode == 1
    measured(0, lambda: ping(lab, "h2", "10.77.0.1")[0], 0)
    measured(0, lambda: ping(lab, "h3", "10.78.0.1")[0], 0)
    # What the peer has on its interface is not lost: that stayed.
    assert lab.host("h3").run(["cat", "/sys/class/net/direct/ifindex"]).stdout == peer


def test_power_that_comes_back_by_itself(lab: Lab, within: Within) -> None:
    lab.break_("power", host="h2", duration=2)
    assert lab.host("h2").pid == 0
    within(10, "h2 is on", lambda: lab.host("h2").pid)
    within(5, "h2 answers", lambda: ping(lab, "h1", "10.77.0.2", 1)[0] == 0)


def test_the_rate_of_a_link_outlives_a_power_cycle(lab: Lab) -> None:
    lab.host("h4").power_off()
    lab.host("h4").power_on()
    assert faults(lab) == []
    assert ping(lab, "h1", "10.77.0.4")[1] >= 0.02
    measured(14e6, lambda: throughput(lab, "h1", "h4", "10.77.0.4"), 21e6)


def test_up_heals(lab: Lab) -> None:
    lab.break_("cut", link="h1:eth0")
    lab.break_("power", host="h3")
    assert [text for text in lab.up() if "healed" in text]
    assert carrier(lab, "h1") == "1" and lab.host("h3").pid
    assert lab.up() == []


def test_what_cannot_be_broken_is_named(lab: Lab) -> None:
    with pytest.raises(NotFoundError, match="no link 'h9:eth0'") as caught:
        lab.break_("cut", link="h9:eth0")
    assert "h1:eth0" in caught.value.remedy and "trunk" in caught.value.remedy
    with pytest.raises(NotFoundError, match="several links"):
        lab.break_("cut", link="tor")
    with pytest.raises(NotFoundError, match="no host 'h9'"):
        lab.break_("power", host="h9")
    with pytest.raises(NotFoundError, match="no process is 'nothing'"):
        lab.break_("freeze", host="h1", process="nothing")
    with pytest.raises(NotFoundError, match="first process"):
        lab.break_("kill", host="h1", process="1")
    assert faults(lab) == []


def test_the_status_shows_faults(lab: Lab) -> None:
    command = skerry("fault", "rate", "trunk", "10mbit", "--lab", "faults")
    assert "stays until" in command.communicate(timeout=20)[0]
    shown = json.loads(skerry("status", "faults", "--json").communicate(timeout=20)[0])
    assert shown[0]["faults"] == [
        {"number": 1, "kind": "rate", "at": "tor - core", "value": "10000kbit", "heals_in": None}
    ]
