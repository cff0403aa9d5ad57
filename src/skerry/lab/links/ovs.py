"""Switches that are Open vSwitch, each with a database and a daemon of its own, in a namespace of its own.

The datapath is the one in userspace: it needs no kernel module. It reads frames as their sender left them, so senders
must finish checksums themselves (see docs/decisions/0004-no-checksum-offload.md).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from skerry.common.errors import CommandError, PreflightError
from skerry.common.namespaces import HOST, entering
from skerry.common.proc import run
from skerry.common.process import find
from skerry.lab.model import SwitchPart, low_mac

RUN = "/run/openvswitch"
TOOLS = ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl")
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin"


def preflight() -> None:
    """Raises PreflightError when a program is missing."""
    for tool in TOOLS:
        if not shutil.which(tool, path=PROGRAMS):
            raise PreflightError(f"'{tool}' is not installed.", remedy="Install openvswitch-switch.")
    if not shutil.which("ethtool", path=PROGRAMS):
        raise PreflightError("'ethtool' is not installed.", remedy="Install ethtool.")


def specification(name: str) -> dict[str, object]:
    """What its first process makes."""
    return {
        "name": name,
        "kind": "switch",
        "hostname": name,
        "spaces": HOST,
        "mounts": [["tmpfs", "/run", "mode=755"], ["tmpfs", "/tmp", "mode=1777"], ["folder", RUN, "755"]],
        "settings": {f"net/ipv6/conf/{which}/disable_ipv6": "1" for which in ("all", "default")},
    }


def start(part: SwitchPart, pid: int) -> None:
    """Start the daemons in a namespace that was just made. Raises CommandError."""
    database, mac = f"{RUN}/conf.db", low_mac(f"switch/{part.name}")
    for argv in (
        ["ovsdb-tool", "create", database, str(SCHEMA)],
        [
            "ovsdb-server",
            database,
            f"--remote=punix:{RUN}/db.sock",
            f"--log-file={RUN}/ovsdb-server.log",
            "--pidfile",
            "--detach",
        ],
        ["ovs-vsctl", "--no-wait", "init"],
        ["ovs-vswitchd", f"--log-file={RUN}/ovs-vswitchd.log", "--pidfile", "--detach"],
        [
            *("ovs-vsctl", "--timeout=20", "add-br", part.name, "--", "set", "Bridge", part.name),
            "datapath_type=netdev",
            f'other-config:hwaddr="{mac}"',
        ],
    ):
        inside(argv, pid)


def works(name: str, pid: int) -> bool:
    """Whether the daemons and the bridge are there: a run may have been killed before it had made them."""
    if not all(any(find(pid, program)) for program in ("ovsdb-server", "ovs-vswitchd")):
        return False
    try:
        inside(["ovs-vsctl", "--timeout=5", "br-exists", name], pid)
    except CommandError:
        return False
    return True


def plug_in(switch: str, ports: list[str], pid: int) -> None:
    """Make interfaces ports of the switch, again if they were before. Raises CommandError."""
    words: list[str] = []
    for port in ports:
        words += ["--", "--if-exists", "del-port", switch, port]
    inside(["ovs-vsctl", "--timeout=20", *words], pid)
    words = []
    for port in ports:
        words += ["--", "add-port", switch, port]
    inside(["ovs-vsctl", "--timeout=20", *words], pid)


def finish_checksums(pid: int, interfaces: list[str]) -> None:
    """Let a host compute the checksums of what it sends."""
    for name in interfaces:
        run(entering(pid, ["ethtool", "-K", name, "tx", "off"], ["net"]), timeout=20)


def inside(argv: list[str], pid: int) -> None:
    run(entering(pid, argv), env={"PATH": PROGRAMS}, timeout=60)
