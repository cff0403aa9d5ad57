"""Values of cloud.toml by their meaning: each check names what is wrong with this value, and one that works."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network

SMALLEST = 28  # the longest prefix of a network that guests and routers fit in
RESERVED = {
    "0.0.0.0/8": "means 'this network' and is never routed",
    "127.0.0.0/8": "is loopback: no packet to it leaves a machine",
    "169.254.0.0/16": "is link-local: guests ask 169.254.169.254 for their metadata",
    "224.0.0.0/4": "is multicast: no machine has such an address",
    "240.0.0.0/4": "is reserved: systems refuse such addresses",
}
# In the order in which they are proposed.
PROPOSED = (
    "172.24.4.0/24",
    "10.20.0.0/24",
    "172.28.4.0/24",
    "10.120.0.0/24",
    "192.168.240.0/24",
    "10.77.0.0/24",
)
LABEL = r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"  # RFC 1123, 2.1
TAKEN = ("envvars", "defaults")  # by openstacksdk, among the names of clouds


def proposal(*taken: IPv4Network) -> str:
    """A network that overlaps none of these."""
    found = (text for text in PROPOSED if not any(IPv4Network(text).overlaps(each) for each in taken))
    return next(found, PROPOSED[0])


def network(value: object) -> IPv4Network:
    """An IPv4 network that machines can have addresses of. Raises ValueError."""
    text = str(value)
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"'{text}' is not a network: ADDRESS/LENGTH, such as '{PROPOSED[0]}'") from None
    if found.version != 4:
        raise ValueError(f"'{text}' is IPv6, and this network has to be IPv4, such as '{PROPOSED[0]}'")
    assert isinstance(found, IPv4Network)
    if str(found) != text and "/" in text and not text.startswith(f"{found.network_address}/"):
        raise ValueError(f"'{text}' is an address in a network: the network is '{found}'")
    for reserved, why in RESERVED.items():
        if found.overlaps(IPv4Network(reserved)):
            what = "it" if found.subnet_of(IPv4Network(reserved)) else f"{reserved} in it"
            raise ValueError(f"'{text}' cannot be used: {what} {why}; such as '{PROPOSED[0]}' works")
    if found.prefixlen > SMALLEST:
        wider = found.supernet(new_prefix=SMALLEST)
        raise ValueError(
            f"'{text}' is too small ({found.num_addresses} addresses): at least /{SMALLEST}, such as '{wider}'"
        )
    return found


def gateway_and_pool(what: str, network: IPv4Network, gateway: str, pool: Sequence[IPv4Address]) -> None:
    """Check a network's router (empty: none) and the first and last address for machines (empty: all).

    Raises ValueError, which begins with ``what``.
    """
    inside = {"gateway": [gateway] if gateway else [], "pool": [str(end) for end in pool]}
    for option, texts in inside.items():
        for text in texts:
            try:
                found = network[0] < IPv4Address(text) < network[-1]
            except ValueError:
                found = False
            if not found:
                raise ValueError(
                    f"{what}: {option} = '{text}' is no address of a machine in {network}, such as '{network[1]}'"
                )
    if pool and (len(pool) != 2 or pool[0] > pool[1]):
        raise ValueError(
            f"{what}: pool is the first and the last address, such as ['{network[2]}', '{network[-2]}']"
        )
    if pool and gateway and pool[0] <= IPv4Address(gateway) <= pool[1]:
        raise ValueError(f"{what}: the gateway {gateway} is in the pool for servers")


def cloud_name(text: str) -> str:
    """A name of a cloud or a region. Raises ValueError."""
    if text in TAKEN:
        raise ValueError(f"'{text}' has a meaning of its own for clients: another name, such as 'my-cloud'")
    if re.fullmatch(r"[a-zA-Z][a-zA-Z0-9-]{0,62}", text):
        return text
    fixed = re.sub(r"[^a-zA-Z0-9]+", "-", text).strip("-")[:63].lstrip("0123456789-")
    raise ValueError(
        f"'{text}' is no name: letters, digits and dashes, the first a letter, at most 63; such as"
        f" '{fixed or 'my-cloud'}'"
    )


def host_name(text: str) -> str:
    """A name of a host (RFC 1123). Raises ValueError."""
    labels = text.split(".")
    right = len(text) <= 63 and all(re.fullmatch(LABEL, label) for label in labels)
    if right and not labels[-1].isdigit():
        return text
    if right:
        raise ValueError(
            f"'{text}' is no host name: it would be taken for an address; such as 'host-{labels[-1]}'"
        )
    parts = (re.sub(r"[^a-zA-Z0-9]+", "-", label).strip("-")[:63] for label in labels)
    fixed = ".".join(part for part in parts if part)[:63].strip(".-")
    raise ValueError(
        f"'{text}' is no host name: letters, digits and inner dashes in each part, at most 63 characters;"
        f" such as '{fixed or 'one'}'"
    )


def interface(text: str) -> str:
    """A name of a network interface, as the kernel takes it; empty for none. Raises ValueError."""
    if not text or (len(text) <= 15 and re.fullmatch(r"[^\s/:]+", text) and text not in (".", "..")):
        return text
    raise ValueError(
        f"'{text}' is no interface's name: at most 15 characters, no space, slash or colon; 'ip link' shows them"
    )


def reachable(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str | None:
    """Why no other machine reaches this address; None when one may. Loopback is not asked about."""
    if address.is_unspecified:
        return "means every address, and is none"
    if address.is_multicast:
        return "is multicast: no machine has such an address"
    if address.is_link_local:
        return "is link-local: it is another machine on each link"
    if address.version == 4 and (address.is_reserved or str(address) == "255.255.255.255"):
        return "is reserved: systems refuse such addresses"
    return None


def overlapping(network: IPv4Network, others: Iterable[IPv4Network]) -> IPv4Network | None:
    """The first of the others that overlaps the network."""
    return next((other for other in others if other.overlaps(network)), None)
