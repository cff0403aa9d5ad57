"""The system users that services run as: one for each theme, so that who takes one over has not the files of all.

Each has a group of its own name and is in ``GROUP``, whose members may pass through the cloud's own folders and nothing
more. A group that opens something has as members those that need it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ROOT = "root"
GROUP = "skerry"
FORMER = "skerry"  # the one user of all services in releases before there were these
IDENTITY = "skerry-identity"
SERVERS = "skerry-servers"
COMPUTE = "skerry-compute"
NETWORK = "skerry-network"
IMAGE = "skerry-image"
DATABASE = "skerry-database"
BROKER = "skerry-broker"
SWITCH = "skerry-switch"
WEB = "skerry-web"
OBJECT = "skerry-object"
STACKS = "skerry-stacks"
KEYS = "skerry-keys"
GUEST = "skerry-guest"
OVN_CLIENTS = "skerry-ovn"  # a group only

OPENS = {
    GROUP: "pass through the cloud's own folders",
    COMPUTE: "connect to libvirt",
    SWITCH: "connect to Open vSwitch's database",
    OVN_CLIENTS: "connect to OVN's databases",
    WEB: "connect to the APIs' sockets",
    GUEST: "read guests' disks",
}


@dataclass(frozen=True)
class User:
    """A system user. ``groups`` are those it is in besides its own and ``GROUP``.

    One that ``fetches`` opens addresses that the cloud's users name (images, templates): it must not reach by them what
    they do not.
    """

    name: str
    runs: str
    groups: tuple[str, ...] = ()
    fetches: bool = False

    @property
    def every_group(self) -> tuple[str, ...]:
        """The groups that it is in besides its own."""
        return (GROUP, *self.groups)


USERS = {
    user.name: user
    for user in (
        User(IDENTITY, "keystone"),
        User(SERVERS, "nova's APIs, conductor, scheduler and consoles; placement"),
        User(COMPUTE, "nova-compute, and the copies of disks between hosts", (SWITCH, GUEST)),
        User(NETWORK, "neutron and its agents", (SWITCH, OVN_CLIENTS)),
        User(IMAGE, "glance", fetches=True),
        User(DATABASE, "MariaDB"),
        User(BROKER, "RabbitMQ"),
        User(SWITCH, "Open vSwitch and OVN", (OVN_CLIENTS,)),
        User(WEB, "HAProxy and the dashboard", (OVN_CLIENTS,)),
        User(OBJECT, "swift"),
        User(STACKS, "heat", fetches=True),
        User(KEYS, "barbican"),
        User(GUEST, "guests (QEMU)"),
    )
}


def groups_of(names: Iterable[str]) -> list[str]:
    """The groups that these users need: their own, and those that they are in."""
    names = list(names)
    return list(dict.fromkeys([GROUP, *names, *(group for name in names for group in USERS[name].groups)]))


def theme(user: str) -> str:
    """What distinguishes a user's name: ``identity`` of skerry-identity."""
    return user.removeprefix("skerry-")
