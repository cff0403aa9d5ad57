"""Guests' interfaces are kept from the host's own network, whenever they appear."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import CHECKOUT
from tests.support.deadlines import within
from tests.support.machines import SimulatedMachine

from skerry.cloud.components.openvswitch import guest_ports
from skerry.lab.hosts.namespaces import Program

SCRIPT = Path(guest_ports.__file__).with_name("guest_ports.sh")
TAP = "tap12345678-ab"
AS_SERVICE = ["setpriv", "--reuid=nobody", "--inh-caps=+net_admin", "--ambient-caps=+net_admin"]
SECONDS = 3.0


@pytest.fixture(scope="module")
def host(machine: Callable[[str], Any]) -> Iterator[SimulatedMachine]:
    with machine("ports") as host:
        # Where its user may read it: the checkout may be in a folder of root's alone.
        shutil.copy(SCRIPT, host.folder)
        yield host


@pytest.fixture
def watched(host: SimulatedMachine) -> Iterator[Program]:
    script = str(host.folder / SCRIPT.name)
    program = host.popen([*AS_SERVICE, script])
    until(lambda: "kept" in host.run([script, "--check"], check=False).stdout)
    yield program
    program.end()
    host.run(["ip", "link", "delete", TAP], check=False)


def until(fact: Callable[[], bool], seconds: float = SECONDS) -> None:
    within(seconds, "it is so", fact, 0.05)


def link(host: SimulatedMachine) -> dict[str, Any]:
    shown = host.run(["ip", "-json", "address", "show", "dev", TAP], check=False)
    return dict(json.loads(shown.stdout)[0]) if shown.returncode == 0 else {}


def kept(host: SimulatedMachine) -> bool:
    state = link(host)
    return "UP" in state.get("flags", ()) and state.get("group") == "29547" and not state["addr_info"]


def test_a_new_interface_is_up_and_without_address_within_3_s(
    host: SimulatedMachine, watched: Program
) -> None:
    host.run(["ip", "tuntap", "add", TAP, "mode", "tap"])
    until(lambda: kept(host))


def test_one_that_the_switch_sets_down_is_up_again_within_3_s(
    host: SimulatedMachine, watched: Program
) -> None:
    host.run(["ip", "tuntap", "add", TAP, "mode", "tap"])
    until(lambda: kept(host))
    for _ in range(3):
        host.run(["ip", "link", "set", TAP, "down"])
        until(lambda: kept(host))


def test_others_are_left_alone(host: SimulatedMachine, watched: Program) -> None:
    for name in ("tap0", "tap100i0", "mytap12345678-"):
        host.run(["ip", "tuntap", "add", name, "mode", "tap"])
    host.run(["ip", "tuntap", "add", TAP, "mode", "tap"])
    until(lambda: kept(host))
    shown = {entry["ifname"]: entry for entry in json.loads(host.run(["ip", "-json", "link"]).stdout)}
    for name in ("tap0", "tap100i0", "mytap12345678-"):
        assert shown[name]["group"] == "default" and "UP" not in shown[name]["flags"]
        host.run(["ip", "link", "delete", name])


def test_what_a_guest_sends_to_the_host_is_dropped(host: SimulatedMachine, watched: Program) -> None:
    """A frame to the interface's own MAC reaches the host's network only without the rules."""
    sender = CHECKOUT / "tests/support/guest_frames.py"
    assert host.run(["python3", str(sender), TAP]).stdout.split() == ["taken", "dropped"]
