"""What a lab is: the typed form of a lab file. It is checked as a whole before anything is made."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

from pydantic import Field, field_validator, model_validator

from skerry.common import toml_model
from skerry.common.toml_model import Table
from skerry.lab.units import Rate, Seconds, Share

HostName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
# The kernel allows 15 characters in the name of an interface.
SwitchName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,14}$")]
FOLDER = r"(/[^/\x00]+)+"
Folder = Annotated[str, Field(pattern=f"^{FOLDER}$")]
INTERFACE = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]{0,14}")
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
OUTSIDE = "outside"  # a host's interface to this machine's outside
UUIDS = UUID("5c1f0d7e-6a0b-4b0e-9d53-0f6c3d1a7b11")  # the names of hosts are turned into UUIDs under this
MOST_HOSTS = 250


class HostPart(Table):
    """A host."""

    name: HostName = Field(description="its host name")
    uuid: UUID | None = Field(
        default=None, description="its UUID; otherwise one that follows from the names of lab and host"
    )
    shared: tuple[Folder, ...] = Field(
        default=(), description="folders of this machine that it sees too, such as one below /tmp or /var"
    )
    root: str = Field(
        default="",
        pattern=f"^({FOLDER})?$",
        description="a folder with a system of its own, such as mmdebstrap makes; this machine's otherwise",
    )


class SwitchPart(Table):
    """A switch."""

    name: SwitchName = Field(description="its name")
    kind: Literal["bridge", "ovs"] = Field(
        default="bridge", description="a bridge of Linux, or Open vSwitch with the datapath in userspace"
    )


class LinkPart(Table):
    """A cable between two ends."""

    name: str | None = Field(
        default=None, description="its name in 'lab fault'; otherwise any end of it does"
    )
    ends: tuple[str, str] = Field(description="what it joins: 'HOST:INTERFACE' or 'SWITCH', twice")
    addresses: dict[str, tuple[str, ...]] = Field(
        default={}, description="addresses with prefix length, by end; a list where one end is a host's"
    )
    mac: dict[str, str] = Field(
        default={}, description="hardware addresses, by end; otherwise low ones that follow from the names"
    )
    rate: Rate | None = Field(default=None, description="bits per second in each direction, such as 10mbit")
    delay: Seconds = Field(default=0.0, description="time on the way in each direction, such as 20ms")
    loss: Share = Field(
        default=0.0, description="share of frames that are lost in each direction, such as 1%"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_the_one_host(cls, data: Any) -> Any:
        """Let a link with one host give its addresses and MAC without naming the end again."""
        if not isinstance(data, dict) or not isinstance(data.get("ends"), list | tuple):
            return data
        data = dict(data)
        hosts = [end for end in data["ends"] if isinstance(end, str) and ":" in end]
        for option, kind in (("addresses", list | tuple), ("mac", str)):
            if isinstance(data.get(option), kind):
                if len(hosts) != 1:
                    given = "one host end" if len(hosts) > 1 else "a host end"
                    raise ValueError(
                        f"link {' - '.join(map(str, data['ends']))}: '{option}' needs {given};"
                        f" write {option} = {{'HOST:INTERFACE' = ...}}"
                    )
                data[option] = {hosts[0]: data[option]}
        return data

    @field_validator("mac")
    @classmethod
    def _low(cls, value: dict[str, str]) -> dict[str, str]:
        return {end: mac.lower() for end, mac in value.items()}

    @property
    def key(self) -> str:
        return " - ".join(self.ends)

    @property
    def host_ends(self) -> tuple[tuple[str, str], ...]:
        """Host and interface of the ends that are hosts'."""
        return tuple((end.split(":")[0], end.split(":")[1]) for end in self.ends if ":" in end)

    @property
    def switches(self) -> tuple[str, ...]:
        return tuple(end for end in self.ends if ":" not in end)


class LabFile(Table):
    """A lab."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,19}$")] = Field(description="its name")
    outside: bool = Field(
        default=False, description="whether hosts reach what this machine reaches, under its address (NAT)"
    )
    host: tuple[HostPart, ...] = Field(description="the hosts")
    switch: tuple[SwitchPart, ...] = Field(default=(), description="the switches")
    link: tuple[LinkPart, ...] = Field(default=(), description="the cables")

    @model_validator(mode="after")
    def _consistent(self) -> LabFile:
        problems = [*self._names(), *self._ends(), *self._addresses(), *self._loops()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _names(self) -> Iterator[str]:
        if not self.host:
            yield "there is no host: write at least one [[host]]"
        if len(self.host) > MOST_HOSTS:
            yield f"{len(self.host)} hosts are too many: at most {MOST_HOSTS}"
        names = [*(host.name for host in self.host), *(switch.name for switch in self.switch)]
        for name in _twice(names):
            yield f"the name '{name}' is given twice: hosts and switches need names of their own"
        for given in _twice(str(self.uuid_of(host.name)) for host in self.host):
            yield f"the UUID {given} is given twice: each host needs its own"
        named = [link.name for link in self.link if link.name]
        for name in _twice(named):
            yield f"the link name '{name}' is given twice"
        for name in named:
            if name in names or ":" in name:
                yield f"the link name '{name}' is that of something else: call the link otherwise"

    def _ends(self) -> Iterator[str]:
        hosts = {host.name for host in self.host}
        switches = {switch.name for switch in self.switch}
        for link in self.link:
            for end in link.ends:
                host, colon, interface = end.partition(":")
                if colon and host not in hosts:
                    yield f"link {link.key}: there is no host '{host}' (there are: {', '.join(sorted(hosts))})"
                elif colon and not (INTERFACE.fullmatch(interface) and interface not in ("lo", OUTSIDE)):
                    yield f"link {link.key}: '{interface}' cannot be the name of an interface here"
                elif not colon and host in hosts:
                    yield f"link {link.key}: '{end}' is a host: write which interface, such as '{end}:eth0'"
                elif not colon and end not in switches:
                    have = ", ".join(sorted(switches)) or "none"
                    yield f"link {link.key}: there is no switch '{end}' (there are: {have})"
            for option in ("addresses", "mac"):
                for end in getattr(link, option):
                    if ":" not in end or end not in link.ends:
                        yield f"link {link.key}: '{option}' names '{end}', which is not a host end of this link"
        for end in _twice(end for link in self.link for end in link.ends if ":" in end):
            yield f"the interface '{end}' is the end of two links"

    def _addresses(self) -> Iterator[str]:
        found: list[str] = []
        for link in self.link:
            for end, addresses in link.addresses.items():
                for text in addresses:
                    try:
                        if "/" not in text:
                            raise ValueError
                        address = ipaddress.ip_interface(text)
                    except ValueError:
                        yield (
                            f"link {link.key}: '{text}' of {end} is not an address with its prefix length,"
                            " such as 10.77.0.1/24"
                        )
                        continue
                    found.append(str(address.ip))
        for text in _twice(found):
            where = [end for link in self.link for end, given in link.addresses.items() if _has(given, text)]
            yield f"the address {text} is given twice: {' and '.join(where)}"
        macs = []
        for link in self.link:
            for end, mac in link.mac.items():
                if not MAC.fullmatch(mac) or int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
                    yield (
                        f"link {link.key}: '{mac}' of {end} is not the hardware address of one interface,"
                        " such as 02:00:00:00:00:01"
                    )
        macs = [self.mac_of(end, link) for link in self.link for end in link.ends if ":" in end]
        for mac in _twice(macs):
            yield f"the hardware address {mac} is given twice"

    def _loops(self) -> Iterator[str]:
        """Switches forward what they do not know to all sides: in a loop, for ever."""
        group = {switch.name: switch.name for switch in self.switch}

        def head(name: str) -> str:
            while group[name] != name:
                name = group[name]
            return name

        for link in self.link:
            one, other = link.ends
            if one in group and other in group:
                if head(one) == head(other):
                    yield (
                        f"link {link.key} closes a loop of switches, in which frames would go round for ever:"
                        " take out one link of the loop"
                    )
                else:
                    group[head(one)] = head(other)

    def uuid_of(self, host: str) -> UUID:
        """The UUID of a host: the given one, or always the same for these names."""
        return self.host_part(host).uuid or uuid5(UUIDS, f"{self.name}/{host}")

    def mac_of(self, end: str, link: LinkPart) -> str:
        """The hardware address of a host's end."""
        return link.mac.get(end) or low_mac(f"{self.name}/{end}")

    def host_part(self, name: str) -> HostPart:
        """The description of a host that there is."""
        return next(part for part in self.host if part.name == name)

    def address_of(self, host: str) -> str | None:
        """The first address of a host, without its prefix length."""
        for link in self.link:
            for end, addresses in link.addresses.items():
                if end.split(":")[0] == host and addresses:
                    return addresses[0].split("/")[0]
        return None


def low_mac(text: str) -> str:
    """A hardware address that follows from ``text``. It starts with 02.

    A bridge takes the lowest address among its ports for its own. With one above fe:54 on its uplink it would take
    that of a guest's tap, which is the same on every host, and the hosts would lose sight of each other.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()
    return "02:" + ":".join(digest[at : at + 2] for at in range(0, 10, 2))


def _twice(values: Any) -> list[str]:
    seen: set[str] = set()
    return list(dict.fromkeys(value for value in values if value in seen or seen.add(value)))  # type: ignore[func-returns-value]


def _has(addresses: tuple[str, ...], wanted: str) -> bool:
    return any(str(ipaddress.ip_interface(text).ip) == wanted for text in addresses)


def load(path: Path) -> LabFile:
    """Read and check a lab file. Raises ConfigError, which names file, option, cause and remedy."""
    return toml_model.load(path, LabFile, remedy="Name a lab file: 'skerry lab up FILE'.")


def parse(text: str, where: object) -> LabFile:
    """Check the text of a lab file; ``where`` names it in errors. Raises ConfigError."""
    return toml_model.loads(text, LabFile, where)
