"""The network of a Linux host by iproute2, ethtool and nftables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skerry.cloud.platform.base import GuestLink, NetworkStack

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
SWITCH_GROUP = "29547"  # of links that the host keeps off (ip-link(8), guest_ports.sh)
NAMESPACES = Path("/run/netns")  # ip-netns(8)
SWITCH = Path("/sys/module/openvswitch")


class LinuxNetwork(NetworkStack):
    def _asked(self, *argv: str) -> str:
        """What a program prints; nothing when what it was asked for is not there."""
        done = self.host.run(argv, check=False)
        return done.stdout if done.returncode == 0 else ""

    # -- interfaces ---------------------------------------------------------------------------------------

    def has_interface(self, name: str) -> bool:
        return self.host.run(["ip", "link", "show", name], check=False).returncode == 0

    def is_tap(self, name: str) -> bool:
        return self.host.mode(Path(f"/sys/class/net/{name}/tun_flags")) is not None

    def addresses(self, interface: str) -> list[str]:
        shown = self._asked("ip", "-json", "address", "show", "dev", interface)
        found = json.loads(shown)[0] if shown else {"flags": []}
        rows = found["addr_info"] if "UP" in found["flags"] else []
        return [f"{row['local']}/{row['prefixlen']}" for row in rows]

    def outward(self) -> list[str]:
        links = json.loads(self._asked("ip", "-json", "-details", "link") or "[]")
        hardware = (
            link["ifname"] for link in links if link["link_type"] == "ether" and not link.get("linkinfo")
        )
        routes = json.loads(self._asked("ip", "-json", "route", "show", "default") or "[]")
        return sorted({*hardware, *(route["dev"] for route in routes if "dev" in route)})

    def make_pair(self, one: str, other: str) -> None:
        self.host.run(["ip", "link", "add", one, "type", "veth", "peer", "name", other])

    def delete_interface(self, name: str) -> None:
        self.host.run(["ip", "link", "delete", name], check=False)

    def set_up(self, interface: str) -> None:
        self.host.run(["ip", "link", "set", interface, "up"])

    def leave_to_switch(self, interface: str) -> None:
        self.host.run(["sh", "-c", f"echo 1 >/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"], check=False)
        self.host.run(["ip", "link", "set", interface, "group", SWITCH_GROUP])

    def is_left_to_switch(self, interface: str) -> bool:
        return f" group {SWITCH_GROUP} " in self._asked("ip", "-o", "link", "show", interface)

    def take_back(self, interface: str) -> None:
        self.host.run(["ip", "link", "set", interface, "group", "default"], check=False)
        self.host.run(["sh", "-c", f"echo 0 >/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"], check=False)

    def fill_in_checksums(self, interface: str) -> None:
        self.host.run(["ethtool", "-K", interface, "tx", "off"], check=False)

    def give_address(self, interface: str, address: str) -> None:
        self.host.run(["ip", "address", "replace", address, "dev", interface])

    def remove_addresses(self, interface: str) -> None:
        self.host.run(["ip", "address", "flush", "dev", interface])

    # -- routing and firewall -----------------------------------------------------------------------------

    def forwards(self) -> bool:
        return (self.host.read(FORWARDING) or "0").strip() != "0"

    def set_forwarding(self, on: bool) -> None:
        # Not a file to be replaced: the kernel reads what is written into this one.
        self.host.run(["sh", "-c", f"echo {int(on)} >{FORWARDING}"])

    def translate(self, table: str, network: str) -> None:
        rules = f"""table ip {table} {{
	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr {network} ip daddr != {network} masquerade
	}}
}}
"""
        self.stop_translating(table)
        self.host.run(["nft", "-f", "-"], input=rules)

    def translated(self, table: str) -> str | None:
        shown = self._asked("nft", "list", "table", "ip", table)
        found = re.search(r"ip saddr (\S+) ", shown)
        return found[1] if found else "" if shown else None

    def stop_translating(self, table: str) -> None:
        self.host.run(["nft", "delete", "table", "ip", table], check=False)

    def remove_filter(self, table: str) -> None:
        for family in ("inet", "arp"):
            self.host.run(["nft", "delete", "table", family, table], check=False)

    def limit_loopback(
        self,
        table: str,
        ports: Mapping[str, Sequence[str]],
        closed: Sequence[str],
        fetching: Mapping[str, Sequence[str]],
        networks: Sequence[str],
        link: GuestLink | None = None,
    ) -> None:
        # Only what opens a connection is looked at: what listens may answer whomever it is let to listen for.
        opens = 'oif "lo" tcp flags & (fin | syn | rst | ack) == syn'
        lines = [f"meta skuid {_set(closed)} reject with tcp reset"] if closed else []
        lines.append("meta skuid 0 accept")
        for user, own in fetching.items():
            lines.append(f"meta skuid {user} tcp dport != {_set(own)} reject with tcp reset")
        for port, users in ports.items():
            others = f"meta skuid != {_set(users)} " if users else ""
            lines.append(f"tcp dport {port} {others}reject with tcp reset")
        rest = [f'oif "lo" meta skuid {_set(closed)} meta l4proto != tcp reject'] if closed else []
        if fetching and networks:
            rest.append(f"ip daddr {_set(networks)} meta skuid {_set(list(fetching))} reject")
        output = ["type filter hook output priority filter; policy accept;", f"{opens} jump connect", *rest]
        chains = {"connect": lines, "output": output, **(_from_guests(link) if link else {})}
        text = "".join(
            f"\tchain {name} {{\n" + "".join(f"\t\t{line}\n" for line in chain) + "\t}\n"
            for name, chain in chains.items()
        )
        # In one transaction: there is no moment without the rules.
        begin = f"table inet {table}\ndelete table inet {table}\n"
        self.host.run(["nft", "-f", "-"], input=f"{begin}table inet {table} {{\n{text}}}\n")

    def limited_loopback(self, table: str) -> str | None:
        return self._asked("nft", "list", "table", "inet", table) or None

    def open_loopback(self, table: str) -> None:
        self.host.run(["nft", "delete", "table", "inet", table], check=False)

    def drops_forwarded(self, network: str) -> list[str]:
        ruleset = json.loads(self.host.run(["nft", "-j", "list", "ruleset"], timeout=15).stdout)
        found = _dropping(ruleset, network)
        # Rules of the older kind are shown by no other program.
        older = "command -v iptables-legacy >/dev/null && iptables-legacy -S FORWARD"
        rules = self._asked("sh", "-c", older)
        if "-P FORWARD DROP" in rules and f"-s {network}" not in rules:
            found.append("iptables-legacy's chain FORWARD")
        return found

    def allow_command(self, network: str) -> str:
        return f"iptables -I FORWARD -s {network} -j ACCEPT && iptables -I FORWARD -d {network} -j ACCEPT"

    # -- the switch ---------------------------------------------------------------------------------------

    @property
    def datapath(self) -> str:
        return "netdev" if self.host.mode(SWITCH) is None else "system"

    def namespaces(self) -> list[str]:
        return self.host.names(NAMESPACES)

    def delete_namespace(self, name: str) -> None:
        self.host.run(["ip", "netns", "delete", name], check=False)


def _from_guests(link: GuestLink) -> dict[str, list[str]]:
    """Chains for what guests send to the host, and for what it forwards."""
    guests = f'iifname "{link.interface}"'
    if link.hardware:
        guests += f" ether saddr & ff:ff:ff:00:00:00 == {link.hardware}:00:00:00"
    lines = [
        "type filter hook input priority filter; policy accept;",
        f"{guests} ct state established,related accept",
        f"{guests} meta l4proto {{ icmp, ipv6-icmp }} accept",
    ]
    if link.offered:
        lines.append(f"{guests} tcp dport {_set(link.offered)} accept")
    chains = {"input": [*lines, f"{guests} reject"]}
    if link.outside:
        # Answers, and what another program of the host translates (a container's port), pass.
        strangers = (
            f'iifname {_set(link.outside)} oifname != "{link.interface}" ct state new ct status & dnat == 0'
        )
        chains["forward"] = ["type filter hook forward priority filter; policy accept;", f"{strangers} drop"]
    return chains


def _set(members: Sequence[str]) -> str:
    """Users, ports or networks as nft(8) takes them."""
    return "{ " + ", ".join(members) + " }"


def _dropping(ruleset: Mapping[str, Any], network: str) -> list[str]:
    """The chains of an nft ruleset (JSON) that drop forwarded packets by policy and do not name ``network``."""
    items = ruleset.get("nftables", [])
    address = network.split("/")[0]
    found = []
    for chain in (item["chain"] for item in items if "chain" in item):
        if chain.get("hook") != "forward" or chain.get("policy") != "drop":
            continue
        rules = [
            item["rule"] for item in items if "rule" in item and item["rule"].get("table") == chain["table"]
        ]
        if not any(
            address in json.dumps(rule.get("expr")) and "accept" in json.dumps(rule["expr"]) for rule in rules
        ):
            found.append(f"chain {chain['name']} of table {chain['family']} {chain['table']}")
    return found
