"""Values by their meaning: an error has the cause, and a value that works."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network, ip_address

import pytest

from skerry.cloud.model import values


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("somewhere", "is not a network"),
        ("10.1.2.3/24", "the network is '10.1.2.0/24'"),
        ("10.1.2.0/33", "is not a network"),
        ("fd00::/64", "is IPv6"),
        ("127.5.0.0/16", "is loopback"),
        ("169.254.8.0/24", "is link-local"),
        ("224.1.0.0/16", "is multicast"),
        ("250.0.0.0/24", "is reserved"),
        ("0.0.0.0/0", "0.0.0.0/8 in it means 'this network'"),
        ("126.0.0.0/7", "127.0.0.0/8 in it is loopback"),
        ("10.1.2.16/29", "is too small (8 addresses): at least /28, such as '10.1.2.16/28'"),
        ("10.1.2.3", "is too small (1 addresses): at least /28, such as '10.1.2.0/28'"),
    ],
)
def test_networks_that_cannot_be(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as error:
        values.network(text)
    proposed = re.findall(r"'([\d.]+/\d+)'", str(error.value))
    assert proposed and values.network(proposed[-1]), "what is proposed works"


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.0.2.16/28", "10.1.0.0/255.255.0.0"])
def test_networks_that_can_be(text: str) -> None:
    assert values.network(text) == IPv4Network(text)


def test_a_proposal_overlaps_nothing() -> None:
    taken = (IPv4Network("172.16.0.0/12"), IPv4Network("10.0.0.0/9"))
    assert values.proposal(*taken) == "192.168.240.0/24"
    assert all(values.network(text) for text in values.PROPOSED)


@pytest.mark.parametrize(
    ("check", "text", "better"),
    [
        (values.cloud_name, "my cloud", "my-cloud"),
        (values.cloud_name, "1st", "st"),
        (values.cloud_name, "", "my-cloud"),
        (values.cloud_name, "envvars", "my-cloud"),
        (values.cloud_name, "x" * 64, "x" * 63),
        (values.host_name, "my_host", "my-host"),
        (values.host_name, "-one", "one"),
        (values.host_name, "a..b", "a.b"),
        (values.host_name, "10.0.0.7", "host-7"),
        (values.host_name, "", "one"),
        (values.host_name, "x" * 64, "x" * 63),
        (values.host_name, "two-", "two"),
    ],
)
def test_names_that_cannot_be(check: Callable[[str], str], text: str, better: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"such as '{better}'")):
        check(text)
    assert check(better) == better


def test_names_that_can_be() -> None:
    for text in ("one", "rack-7.example.org", "3com", "X"):
        assert values.host_name(text) == text
    for text in ("skerry", "RegionOne", "a-1"):
        assert values.cloud_name(text) == text


@pytest.mark.parametrize("text", ["a name", "eth0/1", "x" * 16, "..", "eth0:1"])
def test_interfaces_that_cannot_be(text: str) -> None:
    with pytest.raises(ValueError, match="no interface's name"):
        values.interface(text)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.0", "every address"),
        ("224.0.0.1", "multicast"),
        ("169.254.1.1", "link-local"),
        ("fe80::1", "link-local"),
        ("255.255.255.255", "reserved"),
    ],
)
def test_addresses_that_nobody_reaches(address: str, why: str) -> None:
    assert why in (values.reachable(ip_address(address)) or "")
    assert values.reachable(ip_address("192.0.2.1")) is None
