"""This machine's platform against its real programs; the network's operations in a network of their own."""

from __future__ import annotations

import grp
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from skerry.cloud.components import registry
from skerry.cloud.context import Context
from skerry.cloud.hosts.remote import Remote
from skerry.cloud.model.cloud_toml import Host
from skerry.cloud.platform.base import NetworkStack
from skerry.cloud.platform.choice import platform_of
from skerry.cloud.platform.debian.system import PROGRAMS
from skerry.common import proc

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes networks, and gives files to other groups")

HERE = platform_of()
CLOUD = """features = ["heat", "swift"]
[[host]]
name = "one"
address = "192.0.2.1"
[[host]]
name = "two"
roles = ["compute"]
address = "192.0.2.2"
transport = "ssh"
target = "root@192.0.2.2"
"""
NAMED = next(entry for entry in grp.getgrall() if entry.gr_gid)
NAMELESS = max(entry.gr_gid for entry in grp.getgrall()) + 1


@pytest.mark.parametrize(
    ("gid", "mode", "group"),
    [
        (NAMED.gr_gid, 0o660, NAMED.gr_name),
        (NAMED.gr_gid, 0o600, None),
        (0, 0o660, None),
        (NAMELESS, 0o660, None),
    ],
)
def test_who_may_use_a_device(tmp_path: Path, gid: int, mode: int, group: str | None) -> None:
    device = tmp_path / "kvm"
    assert HERE.users.group_of_device(device) is None
    device.touch()
    os.chown(device, 0, gid)
    device.chmod(mode)
    assert HERE.users.group_of_device(device) == group


def test_accounts() -> None:
    assert HERE.users.exists("daemon") and HERE.users.shell("root").startswith("/")
    assert not HERE.users.exists("skerry-nobody") and HERE.users.shell("skerry-nobody") == ""


def test_packages() -> None:
    assert set(HERE.packages.installed(["libc-bin", "skerry-none"])) == {"libc-bin"}
    assert "libc-bin" in HERE.packages.everything()


def test_programs_are_where_the_platform_says(tmp_path: Path) -> None:
    (tmp_path / "etc/skerry").mkdir(parents=True)
    (tmp_path / "etc/skerry/cloud.toml").write_text(CLOUD)
    ctx = Context.at(tmp_path)
    packages = {name for part in registry.present(ctx) for name in part.packages}
    if missing := packages - set(HERE.packages.installed(sorted(packages))):
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")
    programs = {service.argv[0] for part in registry.present(ctx) for service in part.services()}
    own = {program for program in programs if not program.startswith((str(ctx.layout.env), str(tmp_path)))}
    assert {"mariadbd", "haproxy", "libvirtd"} <= {Path(program).name for program in own}
    own |= {HERE.program(name) for names in PROGRAMS.values() for name in names}
    own.add(HERE.program("rabbitmq-server"))  # a shell begins it
    assert [program for program in own if not os.access(program, os.X_OK)] == []
    assert (HERE.share / "openvswitch/vswitch.ovsschema").exists()
    assert list(HERE.python_packages.glob("libvirt.py"))
    assert proc.run([*HERE.become_root, "id", "-u"]).stdout == "0\n"


class Apart(Remote):
    """The network namespace of a process. As on another host, all is done by programs that run there."""

    def __init__(self, pid: int) -> None:
        super().__init__(Host(name="apart", address="192.0.2.1"))
        self.pid = pid

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout: float | None = 300,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        words = ["nsenter", "-t", str(self.pid), "--net", "--", *argv]
        return proc.run(words, env=env, input=input, timeout=timeout, check=check)

    def watch(self, *words: object, **more: object) -> None:
        raise NotImplementedError


@pytest.fixture
def network() -> Iterator[NetworkStack]:
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo there; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            if not process.stdout.readline():
                pytest.skip(f"no network namespace: {process.stderr.read().strip()}")
            yield platform_of(Apart(process.pid)).network
        finally:
            process.kill()


def test_a_pair_of_interfaces(network: NetworkStack) -> None:
    assert not network.has_interface("one") and network.addresses("one") == []
    network.make_pair("one", "two")
    network.give_address("one", "172.24.4.1/24")
    assert network.addresses("one") == []
    for end in ("one", "two"):
        network.fill_in_checksums(end)
        network.set_up(end)
    assert "172.24.4.1/24" in network.addresses("one") and not network.is_tap("one")
    network.remove_addresses("one")
    assert "172.24.4.1/24" not in network.addresses("one")
    network.delete_interface("two")
    network.delete_interface("two")
    assert not network.has_interface("one")


def test_forwarding_and_translation(network: NetworkStack) -> None:
    for on in (True, False):
        network.set_forwarding(on)
        assert network.forwards() is on
    assert network.translated("skerry") is None
    for cidr in ("172.24.4.0/24", "10.99.0.0/16"):
        network.translate("skerry", cidr)
        assert network.translated("skerry") == cidr
    network.stop_translating("skerry")
    network.stop_translating("skerry")
    assert network.translated("skerry") is None
    network.remove_filter("skerry_guests")


LISTEN = """
import socket, time
kept = [socket.create_server(("127.0.0.1", port)) for port in (7001, 7003, 7004)]
print("there", flush=True)
time.sleep(60)
"""
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 3)"
SEND = """
import socket, sys
socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ((*sys.argv[1:], '127.0.0.1')[0], 7005))
"""


def test_ports_are_for_their_users(network: NetworkStack) -> None:
    def may(user: str, script: str, *words: str) -> bool:
        become = ["setpriv", f"--reuid={user}", "--clear-groups", sys.executable, "-I", "-S", "-c", script]
        return network.host.run([*become, *words], check=False).returncode == 0

    def connects(user: str) -> list[int]:
        return [port for port in (7001, 7003, 7004) if may(user, CONNECT, str(port))]

    table = "skerry_loopback"
    network.set_up("lo")
    assert network.limited_loopback(table) is None
    for _ in range(2):
        ports = {"7001": ["daemon", "games"], "7002-7003": []}
        network.limit_loopback(table, ports, ["nobody"], {"games": ["7001"]}, ["127.0.0.2"])
    shown = network.limited_loopback(table)
    assert shown == network.limited_loopback(table) and "7002-7003" in (shown or "")
    assert isinstance(network.host, Apart)
    inside = ["nsenter", "-t", str(network.host.pid), "--net", sys.executable, "-c", LISTEN]
    with subprocess.Popen(inside, stdout=subprocess.PIPE, text=True) as listener:
        try:
            assert listener.stdout is not None and listener.stdout.readline() == "there\n"
            assert connects("root") == [7001, 7003, 7004]
            assert connects("daemon") == [7001, 7004]
            assert connects("bin") == [7004] and may("bin", SEND)
            assert connects("nobody") == [] and not may("nobody", SEND)
            assert connects("games") == [7001] and may("games", SEND)
            assert may("bin", SEND, "127.0.0.2") and not may("games", SEND, "127.0.0.2")
            for _ in range(2):
                network.open_loopback(table)
            assert connects("nobody") == [7001, 7003, 7004]
        finally:
            listener.kill()


def test_another_firewall(network: NetworkStack) -> None:
    assert network.drops_forwarded("172.24.4.0/24") == []
    chain = "add table ip filter\nadd chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }"
    network.host.run(["nft", "-f", "-"], input=chain)
    assert network.drops_forwarded("172.24.4.0/24") == ["chain FORWARD of table ip filter"]
    network.host.run(
        ["nft", "add", "rule", "ip", "filter", "FORWARD", "ip", "saddr", "172.24.4.0/24", "accept"]
    )
    assert network.drops_forwarded("172.24.4.0/24") == []
