"""Cloudlets in the LAN: what is announced, and what is believed of what is heard."""

from __future__ import annotations

from ipaddress import ip_interface

import pytest
from zeroconf import ServiceInfo

from skerry.cloudlet.discovery import mdns
from skerry.cloudlet.discovery.mdns import Heard
from skerry.cloudlet.errors import MulticastError

ENGINE, BASE = "ab" * 32, "cd" * 32


OWN = [ip_interface(text) for text in ("192.0.2.7/24", "169.254.3.4/16", "fd00::7/64", "fe80::7/64")]


@pytest.mark.parametrize(
    ("listen", "addresses"),
    [
        ("127.0.0.1", []),
        ("127.8.0.1", []),
        ("::1", []),
        ("192.0.2.7", ["192.0.2.7"]),
        ("192.0.2.8", []),
        ("0.0.0.0", ["192.0.2.7", "169.254.3.4"]),
        ("::", ["fd00::7"]),
        ("fd00::7", ["fd00::7"]),
        ("fe80::7%eth0", []),
    ],
)
def test_only_addresses_that_others_reach_are_announced(listen: str, addresses: list[str]) -> None:
    assert mdns.announced(listen, OWN) == addresses


def test_loopback_is_no_network_of_a_host() -> None:
    assert not any(each.is_loopback for each in mdns.own_interfaces())


def info(engine: object = ENGINE, format: object = "1", port: int = 8022, *addresses: str) -> ServiceInfo:
    said = {key: value for key, value in (("engine", engine), ("format", format)) if value is not None}
    name = f"one.{mdns.SERVICE}"
    return ServiceInfo(mdns.SERVICE, name, port=port, properties=said, parsed_addresses=list(addresses))


def test_an_announcement_is_read() -> None:
    heard = mdns.read(info(ENGINE, "1", 8022, "192.0.2.9", "fd00::9"), OWN)
    assert heard == Heard(ENGINE, ("192.0.2.9:8022", "[fd00::9]:8022"))
    # An address that this host has, too, comes last.
    heard = mdns.read(info(ENGINE, "1", 8022, "192.0.2.7", "fd00::9"), OWN)
    assert heard == Heard(ENGINE, ("[fd00::9]:8022", "192.0.2.7:8022"))


@pytest.mark.parametrize(
    "said",
    [
        info(ENGINE, "1", 8022),
        info(ENGINE, "2", 8022, "192.0.2.9"),
        info(ENGINE, None, 8022, "192.0.2.9"),
        info(ENGINE, "1", 0, "192.0.2.9"),
        info("AB" * 32, "1", 8022, "192.0.2.9"),
        info(ENGINE + "0", "1", 8022, "192.0.2.9"),
        info(b"\xff" * 64, "1", 8022, "192.0.2.9"),
        info(None, "1", 8022, "192.0.2.9"),
        # Not of this LAN: whoever looks is not sent elsewhere.
        info(ENGINE, "1", 8022, "203.0.113.1", "127.0.0.1", "::1", "0.0.0.0", "fd01::1", "fe80::9", "224.0.0.251"),
    ],
)  # fmt: skip
def test_what_is_no_announcement_is_left_out(said: ServiceInfo) -> None:
    assert mdns.read(said, OWN) is None


@pytest.mark.parametrize(
    "name",
    ["", ".", "other._tcp.local.", f"x\0y.{mdns.SERVICE}", f"{'x' * 200}.{mdns.SERVICE}", "\ud800" * 9],
)
def test_odd_names_do_no_harm(name: str) -> None:
    made = mdns.named(name)
    assert made is None or mdns.read(made, OWN) is None


def test_the_number_of_addresses_is_bounded() -> None:
    heard = mdns.read(info(ENGINE, "1", 1, *(f"192.0.2.{number}" for number in range(20, 60))), OWN)
    assert heard is not None and len(heard.addresses) == 4


def test_a_host_without_networks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns, "own_interfaces", lambda: [])
    with pytest.raises(MulticastError, match="no network but loopback"):
        mdns.browse(0)
