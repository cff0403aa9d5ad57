"""The evaluation of migrations, on the cloud of test_95: real servers, real load, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from tests.support.cloud_across_hosts import COMPUTES, Pair, Spread

pytestmark = pytest.mark.timeout(900, func_only=True)
FOLDER = "/var/lib/evaluation"  # of the host: a lab shares /root with its machine
PLAN = "/var/lib/plan.toml"
RUN = (
    "migration",
    "run",
    "--plan",
    PLAN,
    "--flavors",
    "nano",
    "--dirty",
    "0,2",  # the guest is emulated, on a machine with other work
    "--times",
    "1",
    "--seed",
    "7",
    "--out",
    FOLDER,
)
PCAP_NANOSECONDS = "4d3cb2a1"


@pytest.fixture
def cloud(spread: Spread) -> Iterator[Spread]:
    with spread.host.network():
        yield spread


@pytest.fixture(scope="module")
def rows(spread: Spread) -> dict[str, dict[str, Any]]:
    """The raw rows of an evaluation of two runs and the refused one, by their keys."""
    # The built-in plan gives a migration up after a minute of the wall, which beside other work is too early.
    plan = "limit = 600\n" + resources.files("skerry.migration").joinpath("plan.toml").read_text()
    spread.host.run(["sh", "-c", 'printf %s "$1" >"$2"', "sh", plan, PLAN])
    print(spread.run(*RUN, timeout=800).stderr)
    told = spread.host.run(["cat", f"{FOLDER}/runs.jsonl"]).stdout
    return {row["key"]: row for row in map(json.loads, told.splitlines())}


def test_runs_are_measured_from_all_sides(rows: dict[str, dict[str, Any]]) -> None:
    for key in ("nano-0-pre-copy-0-1", "nano-2-pre-copy-0-1"):
        row = rows[key]
        assert row["failure"] == "", row
        assert row["source"] != row["destination"]
        assert "private_network_downtime" in row, "the private address answers, too"
        assert 0 < row["qemu_downtime"] < 1000 * row["seconds"]
        assert row["network_downtime"] > 0 and row["udp_network_downtime"] > 0
        assert row["private_network_downtime"] > 0, "a slow guest may answer long after the migration's end"
        assert row["private_sent"] - row["private_lost"] > 100
        assert row["sent"] - row["lost"] > 100 and row["udp_sent"] - row["udp_lost"] > 100
        assert row["qemu_moved"] > 10 and row["qemu_iterations"] >= 2
    assert 1 <= rows["nano-2-pre-copy-0-1"]["guest_rate"] <= 4


def test_the_memory_of_a_busy_guest_arrives_as_it_was(rows: dict[str, dict[str, Any]]) -> None:
    row = rows["nano-2-pre-copy-0-1"]
    assert row["guest_checks"] > 0 and row["guest_corrupt"] == 0


def test_a_host_that_is_too_small_is_refused_and_the_server_runs_on(rows: dict[str, dict[str, Any]]) -> None:
    row = rows["crowded"]
    assert "No valid host" in row["failure"]
    assert "needs 128 MiB of memory" in row["refused_by_us"]
    assert row["stayed"] and row["answers"]


def test_both_ends_are_captured(cloud: Spread, rows: dict[str, dict[str, Any]]) -> None:
    for host in ("one", *COMPUTES):
        path = f"{FOLDER}/traces/nano-0-pre-copy-0-1-{host}.pcap"
        begins = cloud.host.run(["od", "-An", "-tx1", "-N4", path]).stdout.replace(" ", "").strip()
        assert begins == PCAP_NANOSECONDS
        shown = cloud.host.run(["tcpdump", "-Z", "root", "-nr", path, "-c", "20"]).stdout
        assert "ICMP echo request" in shown


def test_everything_is_as_it_was_before(cloud: Spread, rows: dict[str, dict[str, Any]]) -> None:
    assert not [one.name for one in cloud.api.compute.servers() if one.name.startswith("migration-")]
    assert not [one.name for one in cloud.api.compute.flavors() if one.name.startswith("migration-")]
    assert not list(cloud.api.network.ports(name="migration-vantage"))
    assert "migration-vantage" not in cloud.host.run(["ip", "netns"]).stdout
    for host in COMPUTES:
        layer = cloud.lab.hosts[host].run(["cat", "/etc/skerry/nova/50-site.conf"]).stdout
        assert "live_migration" not in layer
        assert not cloud.lab.hosts[host].run(["pgrep", "-x", "tcpdump"], check=False).stdout
    assert cloud.run("plan").stdout.strip() == "Nothing would change."


@pytest.mark.long
def test_it_goes_on_where_it_was_broken_off(cloud: Spread, rows: dict[str, dict[str, Any]]) -> None:
    cut = "\n".join(json.dumps(row) for key, row in rows.items() if key != "nano-0-pre-copy-0-1")
    cloud.host.run(["sh", "-c", f"cat >{FOLDER}/runs.jsonl <<'E'\n{cut}\nE"])
    done = cloud.run(*RUN, timeout=600)
    assert "1 runs" in done.stderr
    told = cloud.host.run(["cat", f"{FOLDER}/runs.jsonl"]).stdout
    assert {json.loads(line)["key"] for line in told.splitlines()} == set(rows)


def test_the_report_is_made_anew_from_the_raw_data(cloud: Spread, rows: dict[str, dict[str, Any]]) -> None:
    cloud.host.run(["rm", "-f", f"{FOLDER}/report.html", f"{FOLDER}/runs.csv"])
    assert cloud.run("migration", "report", FOLDER).stdout.strip() == f"{FOLDER}/report.html"
    page = cloud.host.run(["cat", f"{FOLDER}/report.html"]).stdout
    assert page.count("<svg") >= 2 and "Table 3" in page and "No valid host" in page
    assert cloud.host.run(["head", "-1", f"{FOLDER}/runs.csv"]).stdout.startswith("key,flavor,dirty")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("run", "nobody"), 12, "There is no server 'nobody'"),
        (("run", "first", "--hosts", "two,tree"), 12, "There is no compute host 'tree'"),
        (("run", "first", "--hosts", "two"), 4, "There is no second host"),
        (("run", "first", "--modes", "pre-copy"), 2, "--modes has no meaning with SERVER"),
        (("run", "--flavors", "giant"), 3, "there is no flavor 'giant'"),
        (("run", "--flavors", "nano", "--modes", "fast"), 3, "modes"),
        (("report", "/var/lib/nothing"), 12, "There is no evaluation in /var/lib/nothing"),
    ],
)
def test_bad_input_is_named_and_moves_nothing(
    cloud: Spread, words: tuple[str, ...], code: int, told: str
) -> None:
    before = cloud.place(cloud.server("first"))
    done = cloud.run("migration", *words, check=False)
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr
    assert cloud.place(cloud.server("first")) == before


def test_a_host_that_is_down_is_named(cloud: Spread) -> None:
    compute = cloud.api.compute
    before = cloud.place(cloud.server("first"))
    (service,) = [one for one in compute.services(binary="nova-compute") if one.host == "three"]
    compute.update_service_forced_down(service, forced=True)
    try:
        done = cloud.run("migration", "run", "first", "--hosts", "two,three", check=False)
        assert done.returncode == 4 and "Host three is down" in done.stderr
        done = cloud.run("migration", "run", "first", check=False)
        assert done.returncode == 4 and "There is no second host" in done.stderr
    finally:
        compute.update_service_forced_down(service, forced=False)
    assert cloud.place(cloud.server("first")) == before


def test_a_server_for_which_there_is_no_room_stays(cloud: Spread, pair: Pair) -> None:
    from skerry.migration.capacity import crowded

    here = cloud.place(pair.walker)
    (other,) = {*COMPUTES} - {here}
    with crowded(cloud.api, [other], 64):
        done = cloud.run("migration", "run", "walker", "--times", "1", check=False)
    assert done.returncode == 4
    assert f"needs 128 MiB of memory, and {other} has 64 MiB left" in done.stderr
    assert cloud.place(pair.walker) == here and cloud.wait_status(pair.walker, "ACTIVE")


def test_without_the_right_to_capture_it_is_refused(cloud: Spread) -> None:
    argv = [
        "setpriv",
        "--bounding-set=-net_raw",
        "--inh-caps=-net_raw",
        *cloud.argv,
        "migration",
        "run",
        *RUN[2:],
    ]
    done = cloud.host.run([*argv[:-1], "/var/lib/other"], check=False)
    assert done.returncode == 4 and "cannot be captured on one" in done.stderr, done.stderr
    assert cloud.host.run(["test", "-e", "/var/lib/other"], check=False).returncode
