"""The way of a lab's hosts to what this machine reaches: a network of its own, and address translation.

Hosts see this machine there, and nothing of each other or of another lab.
"""

from __future__ import annotations

import ipaddress
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from skerry.common.errors import PreflightError
from skerry.common.files import write_atomically
from skerry.common.locks import held
from skerry.common.proc import run
from skerry.lab.links import veth
from skerry.lab.model import OUTSIDE, LabFile, low_mac
from skerry.lab.state import FABRIC, LabState, Places

POOL = ipaddress.ip_network(
    "100.64.0.0/16"
)  # RFC 6598: between a provider and its customers, never the internet's
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
BRIDGE, UPLINK = "o_", "o_up"
PREFIX = "sklab"


def interface(places: Places) -> str:
    """This machine's end of the way outside; names of interfaces have at most 15 characters."""
    return f"{PREFIX}{zlib.crc32(str(places.run).encode()):08x}"


def table(places: Places) -> str:
    return f"skerry_{interface(places)}"


@contextmanager
def _one_at_a_time() -> Iterator[Path]:
    """While networks are given out and forwarding is switched: that is this machine's, whatever root a lab has."""
    base = Path("/run/skerry-lab")
    with held(base, make="folder"):
        yield base / ".forwarding"
    with suppress(OSError):
        base.rmdir()


def choose(lab: LabFile) -> str:
    """A network for the way outside that nobody here uses. Raises PreflightError when there is none."""
    taken = [
        ipaddress.ip_interface(text).network
        for link in lab.link
        for addresses in link.addresses.values()
        for text in addresses
    ]
    for route in json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]).stdout or "[]"):
        with suppress(ValueError):
            taken.append(ipaddress.ip_network(route["dst"]))
    for network in POOL.subnets(new_prefix=24):
        if not any(network.version == one.version and network.overlaps(one) for one in taken):
            return str(network)
    raise PreflightError(
        f"Every network in {POOL} is in use here.", remedy="Take down labs that are not needed."
    )


def ensure(places: Places, state: LabState, fabric: int) -> None:
    """Make this machine's end, the translation of addresses, and the bridge in the fabric."""
    with _one_at_a_time() as before:
        if state.network is None:
            state.network = choose(state.file)
            places.write_state(state)
        network = ipaddress.ip_network(state.network)
        name = interface(places)
        veth.ip([f"link delete dev {name}"], check=False)
        veth.ip([f"link delete dev {BRIDGE}"], fabric, check=False)
        mac = low_mac(f"{state.file.name}/uplink")
        veth.ip(
            [
                f"link add name {name} address {mac} type veth peer name {UPLINK} netns {fabric}",
                f"address add {network[1]}/{network.prefixlen} dev {name}",
                f"link set dev {name} alias lab:{state.file.name} up",
            ]
        )
        rules = f"""
            table ip {table(places)}
            delete table ip {table(places)}
            table ip {table(places)} {{
                chain out {{
                    type nat hook postrouting priority srcnat;
                    ip saddr {network} oifname != "{name}" masquerade
                }}
                chain apart {{
                    type filter hook forward priority filter;
                    iifname "{name}" oifname "{PREFIX}*" drop
                }}
            }}
        """
        run([*veth.END_WITH_US, "nft", "-f", "-"], input=rules, timeout=20)
        if not before.exists():
            write_atomically(before, FORWARDING.read_text())
        FORWARDING.write_text("1\n")
        # The last thing: 'complete' looks for it.
        bridge = low_mac(f"{state.file.name}/outside")
        veth.ip(
            [
                f"link add name {BRIDGE} address {bridge} type bridge mcast_snooping 0",
                f"link set dev {UPLINK} master {BRIDGE} up",
                f"link set dev {BRIDGE} up",
            ],
            fabric,
        )


def complete(places: Places, fabric: int) -> bool:
    """Whether this machine's end and the fabric's are both there."""
    return BRIDGE in veth.interfaces(fabric) and interface(places) in veth.interfaces(os.getpid())


def connect(state: LabState, hosts: list[str], pids: Mapping[str, int]) -> None:
    """Give hosts their way outside."""
    network = ipaddress.ip_network(str(state.network))
    lab = state.file
    ports = [veth.outside_port(state.numbers[host]) for host in hosts]
    veth.ip([f"link delete dev {port}" for port in ports], pids[FABRIC], check=False)
    veth.ip([line for host in hosts for line in veth.outside_pair(lab, host, state.numbers[host], pids)])
    lines = []
    for host, port in zip(hosts, ports, strict=True):
        lines.append(f"link set dev {port} master {BRIDGE} alias {host}:{OUTSIDE} up")
        lines.append(f"link set dev {port} type bridge_slave isolated on")
    veth.ip(lines, pids[FABRIC])
    for host in hosts:
        address = network[2 + state.numbers[host]]
        veth.ip(
            [
                f"address add {address}/{network.prefixlen} dev {OUTSIDE}",
                f"link set dev {OUTSIDE} up",
                f"route add default via {network[1]}",
            ],
            pids[host],
        )


def remove(places: Places) -> None:
    """Remove what the lab has in this machine's own network; forwarding is as it was after the last lab."""
    veth.ip([f"link delete dev {interface(places)}"], check=False)
    if run(["nft", "list", "table", "ip", table(places)], check=False).returncode == 0:
        run(["nft", "delete", "table", "ip", table(places)])
    with _one_at_a_time() as before:
        shown = json.loads(run(["ip", "-json", "link", "show"]).stdout)
        if before.exists() and not any(link["ifname"].startswith(PREFIX) for link in shown):
            FORWARDING.write_text(before.read_text())
            before.unlink()
