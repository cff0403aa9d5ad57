"""How labs come and go: twice, changed, killed half-way, two at once, and without a trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.common.errors import NotFoundError, PreflightError
from skerry.common.process import start_of
from skerry.common.wait import wait_for
from skerry.lab import testing
from skerry.lab.hosts import disks
from skerry.lab.lab import Lab, take_down
from skerry.lab.links import uplink
from skerry.lab.model import LabFile, load, parse
from skerry.lab.state import LabBusyError, Places
from skerry.lab.testing import MakeLab, lab_root

pytestmark = pytest.mark.timeout(90)
NAMES = ("life", "other", "torn", "foreign", "poor")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def text(name: str, hosts: int = 2, *, outside: bool = False, kind: str = "bridge") -> str:
    lines = [
        f'name = "{name}"',
        f"outside = {str(outside).lower()}",
        f'switch = [{{name="tor",kind="{kind}"}}]',
    ]
    for number in range(1, hosts + 1):
        lines += [f'[[host]]\nname = "h{number}"', f'[[link]]\nends = ["h{number}:eth0", "tor"]']
        lines.append(f'addresses = ["10.77.0.{number}/24"]')
    return "\n".join(lines)


def file(name: str, hosts: int = 2, **more: bool) -> LabFile:
    return parse(text(name, hosts, **more), "lab.toml")  # type: ignore[arg-type]


def machine() -> dict[str, object]:
    """What a lab could leave behind on this machine."""

    def words(*argv: str) -> list[str]:
        return sorted(subprocess.run(argv, capture_output=True, text=True).stdout.splitlines())

    links = json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True).stdout)
    mine = [uplink.interface(Places(name, lab_root().resolve())) for name in NAMES]
    marks = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(lab_root()).encode() in (entry / "environ").read_bytes().partition(b"SKERRY_LAB=")[2]:
                marks.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return {
        "links": [link["ifname"] for link in links if link["ifname"].startswith((*mine, "w_", "s_", "o_"))],
        "tables": [line for line in words("nft", "list", "tables") if line.endswith(tuple(mine))],
        "mounts": [line for line in words("cat", "/proc/self/mounts") if str(lab_root()) in line],
        "processes": marks,
        "folders": [*lab_root().glob("run/*/*"), *lab_root().glob("var/lib/*/*")],
        "forwarding": FORWARDING.read_text() if not other_labs(links, mine) else "",
    }


def other_labs(links: list[dict[str, str]], mine: list[str]) -> list[str]:
    names = [link["ifname"] for link in links if link["ifname"].startswith(uplink.PREFIX)]
    return [name for name in names if name not in mine]


@pytest.fixture(autouse=True)
def no_trace(make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test leaves the machine as it was, and has a root without labs of other tests."""
    monkeypatch.setenv("SKERRY_TEST_ROOT", str(lab_root().parent / "life"))
    for name in NAMES:
        testing.clean(name)  # of a run that was killed
    before = machine()
    yield
    assert machine() == before


@pytest.fixture
def lab(make_lab: MakeLab) -> Iterator[Lab]:
    with make_lab(text("life", outside=True)) as lab:
        yield lab


def pings(lab: Lab, host: str, address: str) -> bool:
    argv = ["ping", "-c", "3", "-i", "0.05", "-W", "0.5", "-q", address]
    return lab.host(host).run(argv, check=False).returncode == 0


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "skerry.cli.main", "--root", str(lab_root()), "lab", *words]


def test_up_twice_does_nothing(lab: Lab) -> None:
    pids = {name: host.pid for name, host in lab.hosts.items()}
    assert lab.up() == []
    assert {name: host.pid for name, host in lab.hosts.items()} == pids


def test_a_changed_file(lab: Lab) -> None:
    before = lab.host("h1").pid
    lab.host("h1").run(["sh", "-c", "echo 192.0.2.1 mine >> /etc/hosts"])
    more = Lab(file("life", 3, outside=True), lab_root())
    assert more.up() == ["host h3 started", "host h3 connected to the outside", "link h3:eth0 - tor made"]
    assert more.host("h1").pid == before
    assert pings(more, "h1", "h3") and pings(more, "h3", "h1")
    assert "192.0.2.1 mine" in more.host("h1").run(["cat", "/etc/hosts"]).stdout
    done = lab.up()
    assert sorted(done) == ["host h3 taken out", "link h3:eth0 - tor taken out"]
    assert not (lab.places.folder / "h3").exists()
    closed = Lab(file("life", 2), lab_root())
    assert closed.up() == ["the way outside taken out"]
    assert "outside" not in closed.host("h1").run(["ip", "link"]).stdout
    assert closed.host("h1").pid == before and pings(closed, "h1", "h2")


def test_a_changed_link_is_made_anew(lab: Lab) -> None:
    changed = Lab(
        parse(text("life", outside=True).replace("10.77.0.1/", "10.77.0.9/"), "lab.toml"), lab_root()
    )
    assert changed.up() == ["link h1:eth0 - tor taken out", "link h1:eth0 - tor made"]
    assert pings(changed, "h2", "10.77.0.9") and not pings(changed, "h2", "10.77.0.1")


def test_a_changed_host_is_started_again(lab: Lab, tmp_path: Path) -> None:
    other = lab.host("h2").pid
    new = text("life", outside=True).replace('name = "h1"', f'name = "h1"\nshared = ["{tmp_path}"]')
    changed = Lab(parse(new, "lab.toml"), lab_root())
    assert changed.up()[:2] == ["host h1 stopped, because it has changed", "host h1 started"]
    assert changed.host("h1").run(["test", "-d", str(tmp_path)]) and changed.host("h2").pid == other
    assert pings(changed, "h1", "h2") and changed.up() == []


def test_a_host_that_died_is_started_again(lab: Lab) -> None:
    first = lab.host("h1").pid
    os.kill(first, signal.SIGKILL)
    wait_ending(lab, "h1")
    assert "host h1 started" in lab.up()
    assert lab.host("h1").pid != first and pings(lab, "h1", "h2")


def test_a_host_that_takes_its_last_steps_is_waited_for(lab: Lab) -> None:
    first = lab.host("h1").pid
    with subprocess.Popen(["nsenter", "-t", str(first), "--pid", "sleep", "60"]) as entered:
        children = Path(f"/proc/{entered.pid}/task/{entered.pid}/children")
        wait_for("nsenter", lambda: None if children.read_text() else "it has no child", 5, 0.02)
        # The first process cannot go before this one has taken note of its child's end.
        os.kill(entered.pid, signal.SIGSTOP)
        os.kill(first, signal.SIGKILL)
        wait_ending(lab, "h1")
        assert start_of(first) is not None
        threading.Timer(0.5, os.kill, (entered.pid, signal.SIGCONT)).start()
        assert "host h1 started" in lab.up()
    assert start_of(first) is None and pings(lab, "h1", "h2")


def wait_ending(lab: Lab, name: str) -> None:
    def lack() -> str | None:
        node = lab.places.read_node(name)
        return "it is alive" if node and node.alive else None

    wait_for(f"the end of {name}", lack, 5, 0.02)


def test_an_interface_that_was_taken_is_made_again(lab: Lab) -> None:
    lab.host("h1").run(["ip", "link", "delete", "dev", "eth0"])
    lab.host("h2").run(["ip", "link", "delete", "dev", "outside"])
    assert sorted(lab.up()) == ["host h2 connected to the outside", "link h1:eth0 - tor made"]
    assert pings(lab, "h1", "h2")


def test_a_fabric_that_died_is_made_anew(lab: Lab) -> None:
    os.kill(lab.places.read_node(".fabric").pid, signal.SIGKILL)  # type: ignore[union-attr]
    assert lab.up()
    assert pings(lab, "h1", "h2")
    assert pings(lab, "h1", json.loads(lab.host("h1").run(["ip", "-json", "route"]).stdout)[0]["gateway"])


@pytest.mark.parametrize(("kind", "parts"), [("bridge", (0.5, 0.7, 0.9)), ("ovs", (0.6, 0.8))])
def test_a_killed_up_is_completed_by_the_next(tmp_path: Path, kind: str, parts: tuple[float, ...]) -> None:
    path = tmp_path / "lab.toml"
    path.write_text(text("torn", 3, outside=True, kind=kind))
    begun = time.monotonic()
    subprocess.run(command("up", str(path)), check=True, capture_output=True)
    whole = time.monotonic() - begun
    testing.clean("torn")
    lab = Lab(load(path), lab_root())
    try:
        for part in parts:
            up = subprocess.Popen(
                command("up", str(path)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            time.sleep(whole * part)
            up.kill()
            up.wait()
            lab.up()
            assert pings(lab, "h1", "h3") and pings(lab, "h3", "h1"), f"killed after {part} of an 'up'"
            assert lab.up() == []
            testing.clean("torn")
    finally:
        testing.clean("torn")


def test_a_killed_up_is_taken_away_by_down(tmp_path: Path) -> None:
    path = tmp_path / "lab.toml"
    path.write_text(text("torn", 6, outside=True))
    before = machine()
    for seconds in (0.4, 0.5, 0.6):
        up = subprocess.Popen(command("up", str(path)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        up.kill()
        up.wait()
        testing.clean("torn")
        assert machine() == before


KEEPER = """
import sys, time
from skerry.lab.testing import lab_of
with lab_of(sys.argv[1]) as lab:
    lab.host("h1").popen(["sleep", "999"])
    print("up", flush=True)
    time.sleep(60)
"""


def test_a_killed_test_run_leaves_no_lab() -> None:
    before = machine()
    argv = [sys.executable, "-c", KEEPER, text("torn")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stdout.readline() == "up\n"
        assert machine() != before
        run.kill()
    wait_for("the end of the lab", lambda: None if machine() == before else "something is left", 20, 0.2)


def test_two_labs_do_not_meet(make_lab: MakeLab) -> None:
    with make_lab(text("life", outside=True)) as one, make_lab(text("other", 3, outside=True)) as other:
        assert pings(one, "h1", "h2") and pings(other, "h1", "h3")
        assert not pings(one, "h1", "10.77.0.3")
        address = json.loads(other.host("h1").run(["ip", "-json", "-4", "address", "show", "outside"]).stdout)
        assert not pings(one, "h1", address[0]["addr_info"][0]["local"])
        assert one.host("h1").uuid != other.host("h1").uuid
        assert one.state().network != other.state().network
        with pytest.raises(NotFoundError, match="several labs: life, other"):
            Lab.open(None, lab_root())
        other.down()
        assert pings(one, "h1", "h2") and FORWARDING.read_text() == "1\n"


def test_down_keeps_what_it_is_told_to(lab: Lab) -> None:
    lab.host("h1").run(["sh", "-c", "echo kept > /etc/kept; echo kept > /var/lib/kept"])
    lab.down(keep=True)
    assert lab.up()
    assert lab.host("h1").run(["cat", "/etc/kept", "/var/lib/kept"]).stdout == "kept\nkept\n"


def test_where_there_is_no_overlayfs(make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "can_overlay", lambda folder: False)
    with make_lab(text("life")) as lab:
        host = lab.host("h1")
        host.run(["sh", "-c", "echo mine > /etc/mine; rm /etc/passwd"])
        assert "overlay" not in host.run(["cat", "/proc/mounts"]).stdout.replace("overlay / ", "")
        assert Path("/etc/passwd").exists() and not Path("/etc/mine").exists()
        host.power_off()
        host.power_on()
        assert host.run(["cat", "/etc/mine", "/etc/hostname"]).stdout == "mine\nh1\n"
        assert lab.host("h2").run(["test", "-e", "/etc/mine"], check=False).returncode == 1


def test_down_takes_what_runs_and_is_broken(lab: Lab) -> None:
    lab.host("h1").run(["sh", "-c", "setsid sleep 888 < /dev/null > /dev/null 2>&1 &"])
    lab.break_("cut", link="h1:eth0", duration=600)
    lab.break_("delay", link="h2:eth0", value=0.01)
    lab.down()
    with pytest.raises(NotFoundError, match="no lab 'life'"):
        take_down(Places("life", lab_root().resolve()))


def test_a_foreign_folder_is_not_touched(make_lab: MakeLab) -> None:
    folder = lab_root().resolve() / "var/lib/skerry-lab/foreign"
    folder.mkdir(parents=True)
    (folder / "letter").write_text("dear")
    try:
        with pytest.raises(PreflightError, match="not a lab's"):
            Lab(file("foreign"), lab_root()).up()
        assert (folder / "letter").read_text() == "dear"
        assert not (lab_root() / "run/skerry-lab/foreign").exists()
    finally:
        shutil.rmtree(folder)
        for path in (folder.parent, lab_root() / "run/skerry-lab"):
            if path.exists():
                path.rmdir()


def test_one_command_at_a_time(lab: Lab) -> None:
    with (
        lab.places.locked(),
        pytest.raises(LabBusyError, match="works on the lab 'life'"),
        lab.places.locked(seconds=0.2),
    ):
        pass


def test_where_namespaces_cannot_be_made(tmp_path: Path) -> None:
    path = tmp_path / "lab.toml"
    path.write_text(text("poor"))
    lesser = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all"]
    done = subprocess.run([*lesser, *command("up", str(path))], capture_output=True, text=True)
    testing.clean("poor")
    assert done.returncode == 4
    assert "namespace" in done.stderr and "Run it as root" in done.stderr


def test_the_command_line(lab: Lab) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command(*words), capture_output=True, text=True)

    assert run("exec", "h1", "--", "hostname").stdout == "h1\n"
    assert run("exec", "h1", "--", "sh", "-c", "exit 42").returncode == 42
    assert run("exec", "--lab", "life", "h2", "--", "echo", "--", "-n").stdout == "-- -n\n"
    nobody = run("exec", "h9", "--", "true")
    assert nobody.returncode == 12 and "no host 'h9'" in nobody.stderr and "h1, h2" in nobody.stderr
    shell = subprocess.run(
        command("shell", "h1"),
        input="hostname; exit 3\n",
        capture_output=True,
        text=True,
        env={**os.environ, "SHELL": "/bin/sh"},
    )
    assert shell.stdout == "h1\n" and shell.returncode == 3
    status = json.loads(run("status", "--json").stdout)
    assert [host["name"] for host in status[0]["hosts"]] == ["h1", "h2"] and status[0]["complete"]
    assert "h1:eth0 - tor" in run("status", "life").stdout
    wrong = run("fault", "rate", "h1:eth0", "fast")
    assert wrong.returncode == 2 and "10mbit" in wrong.stderr
    assert run("status", "none").returncode == 12
    assert "is gone" in run("down").stdout
    assert "There is no lab" in run("status").stdout
