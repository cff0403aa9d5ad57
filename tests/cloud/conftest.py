"""One whole cloud from a fresh ``skerry up``, on a simulated machine, for all tests of this folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.cloud import Cloud, Servers, Within, downloads
from tests.support.cloud_across_hosts import Pair, Spread, lab_text, spread_over

from skerry.lab.testing import make_lab

KILLED_AFTER = ("databases and their accounts", "accounts and catalogue")

__all__ = ["make_lab"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cloud)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(420, func_only=True))
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def cheap_passwords(cloud: Cloud) -> None:
    """Let keystone hash passwords as cheaply as it can: else each login costs a quarter of a second of a core."""
    place = f"{cloud.etc}/keystone"
    options = "[identity]\npassword_hash_rounds = 4\n"
    cloud.host.run(["sh", "-c", f"mkdir -p {place}; cat >{place}/50-site.conf <<E\n{options}E"])


@pytest.fixture(scope="package")
def whole(machine: Callable[[str], Any], within: Within) -> Iterator[Cloud]:
    """A fresh cloud, whose 'up' was killed twice on the way."""
    cache = downloads()
    with machine("cloud") as host:
        cloud = Cloud(host, within)
        (cloud.root / "var/cache").mkdir(parents=True)
        shutil.copytree(cache, cloud.root / "var/cache/skerry", ignore=shutil.ignore_patterns("work"))
        cheap_passwords(cloud)
        for step in KILLED_AFTER:
            cloud.killed[step] = cloud.killed_up(step)
        started = time.monotonic()
        try:
            print(cloud.up())
        except Exception as error:
            found = cloud.run("doctor", check=False).stdout
            pytest.fail(f"'skerry up' after two kills: {error}\n{found}")
        print(f"the rest of 'up' took {time.monotonic() - started:.0f} s")
        yield cloud


@pytest.fixture
def cloud(whole: Cloud) -> Iterator[Cloud]:
    """The cloud, with the test in its machine's network."""
    with whole.host.network():
        yield whole


@pytest.fixture(scope="package")
def spread(
    make_lab: Callable[..., Any], within: Within, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Spread]:
    """A cloud across three hosts of a lab, for all tests that move servers; those marked ``last`` remove hosts."""
    cache = downloads()
    with make_lab(lab_text("isle-test")) as lab:
        cloud = spread_over(lab, cache, tmp_path_factory.mktemp("keys"), within)
        cheap_passwords(cloud)
        try:
            print(cloud.up())
        except Exception as error:
            pytest.fail(f"'skerry up': {error}\n{cloud.run('doctor', check=False).stdout}")
        yield cloud


@pytest.fixture(scope="package")
def pair(spread: Spread) -> Iterator[Pair]:
    """Two servers of that cloud, on different hosts at first: for all tests that move them and leave them running."""
    with spread.host.network():
        servers = Servers(spread)
        names = {"walker": "two", "sitter": "three"}
        begun = [servers.begin(name, availability_zone=f"nova:{host}") for name, host in names.items()]
        walker, sitter = (spread.wait_status(server, "ACTIVE") for server in begun)
        address, other = (str(servers.floating_ip(one).floating_ip_address) for one in (walker, sitter))
        for name, place in zip(names, (address, other), strict=True):
            spread.named(place, name)
    yield Pair(walker, address, sitter, other)  # they go with the lab


@pytest.fixture
def servers(cloud: Cloud) -> Iterator[Servers]:
    servers = Servers(cloud)
    yield servers
    servers.remove_all()
