"""Hosts of a lab: what they have of their own, what they share, and that they reach each other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skerry.common.errors import CommandError, NotFoundError
from skerry.lab.lab import Lab
from skerry.lab.testing import MakeLab

LAB = """
name = "hosts"
outside = true
host = [{name = "h1"}, {name = "h2"}, {name = "h3"}]
switch = [{name = "tor"}, {name = "spine"}]
[[link]]
ends = ["h1:eth0", "tor"]
addresses = ["10.77.0.1/24", "fd00:77::1/64"]
[[link]]
ends = ["h2:eth0", "spine"]
addresses = ["10.77.0.2/24", "fd00:77::2/64"]
[[link]]
ends = ["tor", "spine"]
[[link]]
ends = ["h1:direct", "h3:direct"]
addresses = {"h1:direct" = ["10.78.0.1/30"], "h3:direct" = ["10.78.0.2/30"]}
"""
CAPTURED: Any = {"capture_output": True, "text": True, "check": True}
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def lab(make_lab: MakeLab) -> Iterator[Lab]:
    with make_lab(LAB) as lab:
        yield lab


def out(lab: Lab, host: str, *argv: str) -> str:
    return lab.host(host).run(argv).stdout.strip()


def pings(lab: Lab, host: str, address: str) -> bool:
    argv = ["ping", "-c", "3", "-i", "0.05", "-W", "0.5", "-q", address]
    return lab.host(host).run(argv, check=False).returncode == 0


@pytest.mark.parametrize(
    ("host", "address"), [("h1", "10.77.0.2"), ("h1", "h2"), ("h2", "fd00:77::1"), ("h3", "10.78.0.1")]
)
def test_hosts_reach_each_other(lab: Lab, host: str, address: str) -> None:
    assert pings(lab, host, address)


def test_hosts_without_a_way_do_not_reach_each_other(lab: Lab) -> None:
    assert not pings(lab, "h3", "10.77.0.2")


def test_the_way_outside_leads_to_this_machine_and_not_to_other_hosts(lab: Lab) -> None:
    gateway = json.loads(out(lab, "h1", "ip", "-json", "route", "show", "default"))[0]["gateway"]
    assert pings(lab, "h1", gateway)
    other = json.loads(out(lab, "h2", "ip", "-json", "-4", "address", "show", "outside"))
    assert not pings(lab, "h1", other[0]["addr_info"][0]["local"])


def test_each_is_a_machine_of_its_own(lab: Lab) -> None:
    names = {host: out(lab, host, "hostname") for host in lab.hosts}
    assert names == {host: host for host in lab.hosts}
    identities = {out(lab, host, "cat", "/etc/machine-id") for host in lab.hosts}
    assert identities == {host.uuid.replace("-", "") for host in lab.hosts.values()}
    assert len(identities) == 3


def test_etc_and_var_are_its_own(lab: Lab) -> None:
    lab.host("h1").run(["sh", "-c", "echo mine > /etc/mine; echo mine > /var/lib/mine; rm /etc/passwd"])
    assert out(lab, "h1", "cat", "/etc/mine", "/var/lib/mine") == "mine\nmine"
    for path in ("/etc/mine", "/var/lib/mine"):
        assert lab.host("h2").run(["test", "-e", path], check=False).returncode == 1
        assert not Path(path).exists()
    assert Path("/etc/passwd").exists() and out(lab, "h2", "grep", "-c", "^root:", "/etc/passwd") == "1"
    assert (lab.host("h1").folder / "var/lib/mine").read_text() == "mine\n"


def test_what_was_installed_is_there(lab: Lab) -> None:
    assert "iproute2" in out(lab, "h1", "dpkg-query", "-W", "iproute2")
    owner = lab.host("h1").run(["stat", "-c", "%U", "/var/mail"]).stdout
    assert owner == lab.host("h2").run(["stat", "-c", "%U", "/var/mail"]).stdout


def test_volatile_places_are_empty_and_its_own(lab: Lab) -> None:
    for folder in ("/run", "/tmp", "/dev/shm"):
        lab.host("h1").run(["touch", f"{folder}/skerry-lab-test"])
        assert lab.host("h2").run(["test", "-e", f"{folder}/skerry-lab-test"], check=False).returncode == 1
        assert not Path(folder, "skerry-lab-test").exists()


def test_orphans_are_reaped(lab: Lab) -> None:
    lab.host("h1").run(["sh", "-c", "(sleep 0.1 &) ; sleep 0.3"])
    states = out(lab, "h1", "ps", "-eo", "stat=").split()
    assert not [state for state in states if state.startswith("Z")]


def test_a_host_sees_only_its_own_processes(lab: Lab) -> None:
    program = lab.host("h1").popen(["sleep", "1234"])
    try:
        assert program.pid
        assert [process.name() for process in lab.host("h1").processes()] == ["sleep"]
        assert "1234" not in out(lab, "h2", "ps", "-eo", "args=")
    finally:
        program.end()


def test_the_status_of_a_command_comes_through(lab: Lab) -> None:
    assert lab.host("h1").run(["sh", "-c", "exit 7"], check=False).returncode == 7
    with pytest.raises(CommandError, match="exit status 7"):
        lab.host("h1").run(["sh", "-c", "exit 7"])


def test_a_host_that_does_not_exist(lab: Lab) -> None:
    with pytest.raises(NotFoundError, match="no host 'h9'") as caught:
        lab.host("h9")
    assert "h1, h2, h3" in caught.value.remedy


def test_others_can_enter_by_the_record(lab: Lab) -> None:
    record = json.loads((lab.places.run / "h1.json").read_text())
    assert record["uuid"] == lab.host("h1").uuid and record["folder"] == str(lab.host("h1").folder)
    assert Path(f"/proc/{record['pid']}/root/etc/hostname").read_text() == "h1\n"
    assert record["addresses"]["eth0"] == ["10.77.0.1/24", "fd00:77::1/64"]


def test_the_network_can_be_entered(lab: Lab) -> None:
    with lab.host("h1").network():
        inside = Path("/proc/thread-self/ns/net").readlink()
    assert inside == Path(f"/proc/{lab.host('h1').pid}/ns/net").readlink()
    assert inside != Path("/proc/thread-self/ns/net").readlink()


def test_a_host_with_folders_of_this_machine(make_lab: MakeLab, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("here\n")
    text = f'name = "shared"\nhost = [{{name = "h1", shared = ["{tmp_path}"]}}, {{name = "h2"}}]'
    with make_lab(text) as lab:
        assert out(lab, "h1", "cat", f"{tmp_path}/here") == "here"
        lab.host("h1").run(["touch", f"{tmp_path}/there"])
        assert (tmp_path / "there").exists()
        assert lab.host("h2").run(["ls", str(tmp_path)], check=False).returncode == 2
        lab.host("h1").power_off()
        lab.host("h1").power_on()
        assert out(lab, "h1", "cat", f"{tmp_path}/here") == "here"


def test_a_host_with_a_system_of_its_own(make_lab: MakeLab, tmp_path: Path) -> None:
    system = tmp_path / "system"
    small_system(system, "sh", "cat", "ls", "sleep", "hostname", "ip")
    text = f'name = "own"\noutside = true\nhost = [{{name = "h1", root = "{system}"}}, {{name = "h2"}}]\n'
    text += '[[link]]\nends = ["h1:eth0", "h2:eth0"]\n'
    text += 'addresses = {"h1:eth0" = ["10.77.0.1/24"], "h2:eth0" = ["10.77.0.2/24"]}'
    with make_lab(text) as lab:
        host = lab.host("h1")
        assert host.folder == system and out(lab, "h1", "hostname") == "h1"
        assert out(lab, "h1", "ls") == out(lab, "h1", "ls", "/"), "a program starts in the root of the host"
        assert set(out(lab, "h1", "ls", "/").split()) == {path.name for path in system.iterdir()}
        assert out(lab, "h1", "ls", "/etc") == "hostname\nhosts\nmachine-id\nresolv.conf"
        assert len(out(lab, "h1", "cat", "/proc/mounts").splitlines()) < 30, "nothing of the old root is left"
        assert pings(lab, "h2", "h1") and "default" in out(lab, "h1", "ip", "route")
        host.run(["sh", "-c", "echo kept >/kept; echo lost >/run/lost"])
        host.power_off()
        host.power_on()
        assert out(lab, "h1", "cat", "/kept") == "kept" and "lost" not in out(lab, "h1", "ls", "/run")
    assert (system / "kept").exists() and not (system / "run/lost").exists()


def small_system(folder: Path, *programs: str) -> None:
    """A system that has just these programs, and what they are linked with."""
    for name in ("usr/bin", "dev", "etc", "proc", "run", "sys", "tmp"):
        (folder / name).mkdir(parents=True)
    for program in programs:
        path = str(shutil.which(program))
        shutil.copy(path, folder / "usr/bin")
        for library in re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", path], **CAPTURED).stdout):
            place = folder / library.removeprefix("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, place)


def test_hardware_addresses_are_low(lab: Lab) -> None:
    for host in lab.hosts:
        shown = json.loads(out(lab, host, "ip", "-json", "link", "show", "type", "veth"))
        assert shown and all(link["address"].startswith("02:") for link in shown)
