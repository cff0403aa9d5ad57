"""Provider networks: networks of the site that servers are attached to."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from skerry.cloud.model import external_link, values
from skerry.common.toml_model import Table

LONGEST = 15 - len("br-")  # an interface's name, for a bridge to be called after it (IFNAMSIZ)
TAKEN = ("public", "private")  # what 'up' calls its own networks


class Provider(Table):
    """A network of the site: all of an interface (flat), or one VLAN of it."""

    name: Annotated[str, AfterValidator(values.cloud_name)] = Field(
        examples=["office"], description="its name in the cloud"
    )
    interface: Annotated[str, AfterValidator(values.interface)] = Field(
        examples=["eth2"], description="the interface that leads to it on every host, given to the switch"
    )
    vlan: Annotated[int, Field(ge=0, le=4094)] = Field(
        default=0, description="its VLAN on that interface; 0: untagged (flat)"
    )
    cidr: Annotated[IPv4Network, BeforeValidator(values.network)] = Field(
        examples=["192.0.2.0/24"], description="the addresses of the network"
    )
    gateway: str = Field(default="", description="its router's address; empty: it has none")
    pool: tuple[IPv4Address, ...] = Field(
        default=(), description="first and last address for servers; empty: all but the gateway's"
    )
    dhcp: bool = Field(default=True, description="whether the cloud hands the addresses out by DHCP")
    shared: bool = Field(default=True, description="whether every project may use it")

    @property
    def bridge(self) -> str:
        """The bridge of its interface in the switch."""
        return f"br-{self.interface}"

    @field_validator("interface")
    @classmethod
    def _fits(cls, interface: str) -> str:
        if not interface or len(interface) > LONGEST:
            raise ValueError(
                f"'{interface}' cannot be the interface of a provider network: a name of 1 to {LONGEST} characters"
                " ('ip link set OLD name NEW' gives another)"
            )
        if f"br-{interface}" in (external_link.BRIDGE, "br-int", "br-tunnel"):
            raise ValueError(f"'{interface}' cannot be: the switch has a bridge br-{interface} of its own")
        return interface

    @model_validator(mode="after")
    def _whole(self) -> Provider:
        if self.name in TAKEN:
            raise ValueError(f"provider '{self.name}': 'up' makes a network of this name; choose another")
        values.gateway_and_pool(f"provider '{self.name}'", self.cidr, self.gateway, self.pool)
        return self


def check(providers: Iterable[Provider], given: Iterable[str]) -> None:
    """Raise ValueError where two are in each other's way, or one has an interface that hosts gave to something else."""
    names: set[str] = set()
    segments: set[tuple[str, int]] = set()
    for provider in providers:
        if provider.name in names:
            raise ValueError(f"two provider networks have the name '{provider.name}'")
        segment = provider.interface, provider.vlan
        if segment in segments:
            what = f"VLAN {provider.vlan}" if provider.vlan else "the untagged network"
            raise ValueError(f"two provider networks are {what} of interface '{provider.interface}'")
        if provider.interface in given:
            raise ValueError(
                f"provider '{provider.name}': a host gives interface '{provider.interface}' to another bridge"
                " (external_interface or tunnel_interface)"
            )
        names.add(provider.name)
        segments.add(segment)
