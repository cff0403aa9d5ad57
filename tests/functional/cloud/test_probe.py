"""The migration probe on a real network that is cut, delayed and lossy on purpose."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.machines import WORLD, SimulatedMachine

from skerry.migration.errors import ProbeError
from skerry.migration.measurement.analysis import Figures, figures
from skerry.migration.measurement.probe import EchoProbe


@pytest.fixture(scope="module")
def host(machine: Callable[[str], Any]) -> Iterator[SimulatedMachine]:
    with machine("probe") as host:
        yield host


def probed(host: SimulatedMachine, during: Callable[[], None]) -> Figures:
    with host.network(), EchoProbe(WORLD, 0.01) as probe:
        time.sleep(0.7)
        begun = time.monotonic()
        during()
        ended = time.monotonic()
        time.sleep(0.7)
    return figures(probe.trace, begun, ended)


def test_a_quiet_network_has_no_downtime(host: SimulatedMachine) -> None:
    found = probed(host, lambda: time.sleep(0.5))
    assert found.lost == 0 and found.sent >= 150
    assert found.network_downtime < 150, "on a busy machine, too"


def test_a_cut_is_as_long_as_it_was(host: SimulatedMachine) -> None:
    def cut() -> None:
        for state, seconds in (("down", 0.4), ("up", 0.0)):
            subprocess.run(["ip", "link", "set", "eth0", state], check=True)
            time.sleep(seconds)

    found = probed(host, cut)
    assert 380 <= found.network_downtime <= 1500  # a link takes a moment to work again
    assert found.lost >= 30


def test_a_delay_shows_in_the_round_trip_alone(host: SimulatedMachine) -> None:
    def netem(*words: str) -> bool:
        return (
            host.run(
                ["tc", "qdisc", *words, "dev", "eth0", "root", "netem", "delay", "50ms"], check=False
            ).returncode
            == 0
        )

    if not netem("add"):
        pytest.skip("this kernel has no netem")
    try:
        found = probed(host, lambda: time.sleep(0.3))
    finally:
        netem("del")
    assert found.lost == 0
    assert found.during.p50 is not None and 49 <= found.during.p50 <= 90
    assert found.network_downtime < 150


def test_udp_is_answered_by_a_kernel_that_has_no_program_for_it(host: SimulatedMachine) -> None:
    host.run(["sh", "-c", "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit"])
    with host.network(), EchoProbe("127.0.0.1", 0.01) as probe:
        time.sleep(1)
    assert len(probe.udp.sent) == len(probe.trace.sent) >= 50
    lost = sum(back is None for back in probe.udp.received)
    assert lost == 0, f"{lost} of {len(probe.udp.sent)}"


def test_a_probe_that_may_not_send_says_so(host: SimulatedMachine) -> None:
    """Else what it did not see would be taken for a server that does not answer."""
    rules = "add table inet closed; add chain inet closed out { type filter hook output priority 0; policy drop; }"
    host.run(["nft", rules])
    try:
        with (
            pytest.raises(ProbeError, match=f"{WORLD} failed: .*not permitted"),
            host.network(),
            EchoProbe(WORLD, 0.01),
        ):
            time.sleep(0.2)
    finally:
        host.run(["nft", "delete table inet closed"])
