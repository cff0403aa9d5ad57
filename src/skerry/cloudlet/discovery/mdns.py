"""Cloudlets in the LAN, by DNS-SD (RFC 6763) over multicast DNS (RFC 6762).

What is heard is a hint and no more, since anybody in the LAN can send anything: an address counts only when it is
in a network of this host's own, and who is there has to be proven over TLS.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface

import psutil
import zeroconf
from zeroconf import ServiceInfo, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from skerry.cloudlet.errors import MulticastError

SERVICE = "_skerry-cloudlet._tcp.local."
FORMAT = "1"  # of what is announced, and of what the engine answers
_ENGINE = re.compile(r"[0-9a-f]{64}")
_MOST, _MOST_ADDRESSES = 64, 4  # services, and addresses of one
_RESOLVED = 1000.0  # milliseconds for what did not come along with a name

Interface = IPv4Interface | IPv6Interface


@dataclass(frozen=True)
class Heard:
    """Somebody claims to be the engine with this fingerprint, at these addresses (HOST:PORT)."""

    engine: str
    addresses: tuple[str, ...]


class Announcement:
    """An engine is announced until this is closed. Takes about a second. Raises MulticastError."""

    def __init__(self, engine: str, addresses: Sequence[str], port: int) -> None:
        # A host may have several engines, each with a name of its own; both names are labels of at most 63 bytes.
        instance = f"skerry-{engine[:32]}-{port}"
        info = ServiceInfo(
            SERVICE,
            f"{instance}.{SERVICE}",
            port=port,
            properties={"engine": engine, "format": FORMAT},
            server=f"{instance}.local.",
            parsed_addresses=list(addresses),
        )
        try:
            self._multicast = Zeroconf(interfaces=list(addresses))
        except (OSError, RuntimeError) as error:
            raise MulticastError(error) from None
        try:
            self._multicast.register_service(info, allow_name_change=True)
        except (OSError, RuntimeError, zeroconf.Error) as error:
            self._multicast.close()
            raise MulticastError(error or type(error).__name__) from None

    def close(self) -> None:
        """Announce the end, too."""
        self._multicast.close()


def own_interfaces() -> list[Interface]:
    """This host's addresses with their networks, without loopback and without what is down."""
    up = {name for name, about in psutil.net_if_stats().items() if about.isup}
    found = []
    for name, addresses in psutil.net_if_addrs().items():
        for each in addresses:
            if name in up and each.family in (socket.AF_INET, socket.AF_INET6) and each.netmask:
                bits = int(ip_address(each.netmask)).bit_count()
                found.append(ip_interface(f"{each.address.partition('%')[0]}/{bits}"))
    return [each for each in found if not each.is_loopback]


def announced(listen: str, own: Sequence[Interface]) -> list[str]:
    """The addresses that an engine is announced with which listens on ``listen``; none for loopback.

    Addresses of a link alone (IPv6) are left out: they mean nothing without the name of an interface.
    """
    address = ip_address(listen.partition("%")[0])
    usable = [each.ip for each in own if each.version == address.version and not _of_link(each.ip)]
    return [str(each) for each in usable if address.is_unspecified or each == address]


def browse(seconds: float) -> list[Heard]:
    """Whoever is announced in the networks of this host, after listening for so long. Raises MulticastError."""
    own = own_interfaces()
    if not own:
        raise MulticastError("this host has no network but loopback")
    try:
        return asyncio.run(_browse(seconds, own))
    except (OSError, RuntimeError, zeroconf.Error) as error:
        raise MulticastError(error or type(error).__name__) from None


async def _browse(seconds: float, own: Sequence[Interface]) -> list[Heard]:
    names: dict[str, None] = {}

    def seen(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Added and len(names) < _MOST:
            names[name] = None

    async with AsyncZeroconf(interfaces=[str(each.ip) for each in own]) as multicast:
        browser = AsyncServiceBrowser(multicast.zeroconf, SERVICE, handlers=[seen])
        await asyncio.sleep(seconds)
        await browser.async_cancel()
        infos = [info for name in names if (info := named(name))]
        asked = (info.async_request(multicast.zeroconf, _RESOLVED) for info in infos)
        await asyncio.gather(*asked, return_exceptions=True)  # what is amiss with one is no one else's
    return [heard for info in infos if (heard := read(info, own))]


def named(name: str) -> AsyncServiceInfo | None:
    """A service that was heard of; None when that is no name of one, whatever it was announced as."""
    try:
        return AsyncServiceInfo(SERVICE, name)
    except zeroconf.Error:
        return None


def read(info: ServiceInfo, own: Sequence[Interface]) -> Heard | None:
    """What an announcement holds; None when it is of another form, or of an address that is not in the LAN."""
    said = {key: (value or b"").decode("ascii", "replace") for key, value in info.properties.items()}
    engine, port = said.get(b"engine", ""), info.port or 0
    if said.get(b"format") != FORMAT or not _ENGINE.fullmatch(engine) or not 1 <= port <= 65535:
        return None
    told = [ip_address(text.partition("%")[0]) for text in info.parsed_addresses()]
    near = [each for each in told if not _of_link(each) and any(each in one.network for one in own)]
    # Bridges have the same address on many hosts: one of this host's own is tried when no other answers.
    near.sort(key=lambda each: any(each == one.ip for one in own))
    written = [f"[{each}]:{port}" if each.version == 6 else f"{each}:{port}" for each in near]
    return Heard(engine, tuple(written[:_MOST_ADDRESSES])) if written else None


def _of_link(address: IPv4Address | IPv6Address) -> bool:
    return address.version == 6 and address.is_link_local
