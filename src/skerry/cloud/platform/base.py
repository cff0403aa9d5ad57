"""What a cloud asks of an operating system: packages, users, the host's network, and where programs are.

A platform acts on one host by way of a transport (this machine, a lab's host, SSH), which runs programs and moves
files, and knows no operating system. All that a second operating system does differently is behind these classes.
"""

from __future__ import annotations

import ipaddress
import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skerry.cloud.engine.transport import Local, Transport

Say = Callable[[str], None]


class PackageManager(ABC):
    """The operating system's packages. Names are Debian's; a platform with others translates them."""

    def __init__(self, host: Transport) -> None:
        self.host = host

    @abstractmethod
    def installed(self, names: Sequence[str]) -> dict[str, str]:
        """The versions of those of ``names`` that are installed."""

    @abstractmethod
    def everything(self) -> set[str]:
        """The names of all packages that the host has."""

    @abstractmethod
    def install(self, names: Sequence[str], report: Say) -> None:
        """Install packages and what they need; none of their own services is started or stays enabled.

        Raises PackageError.
        """

    @abstractmethod
    def remove(self, names: Sequence[str], report: Say) -> None:
        """Remove packages with their settings, and what ``install`` has changed of the package manager's own."""

    @abstractmethod
    def download(self, name: str, folder: Path) -> Path:
        """Download a package without what it needs; returns its file in ``folder``. Raises CommandError."""

    @abstractmethod
    def downloaded(self, name: str, folder: Path) -> Path | None:
        """The file that ``download`` has left in ``folder``; None when it is missing."""

    @abstractmethod
    def unpack(self, package: Path, folder: Path) -> None:
        """Unpack a downloaded package below ``folder``. Raises CommandError."""

    @abstractmethod
    def install_command(self, name: str) -> str:
        """What an operator runs to install a package."""


class Users(ABC):
    """The accounts of the host."""

    def __init__(self, host: Transport) -> None:
        self.host = host

    def exists(self, name: str) -> bool:
        """Whether there is a user of this name, with a group of the same name."""
        found = (self.host.run(["getent", kind, name], check=False) for kind in ("passwd", "group"))
        return all(done.returncode == 0 for done in found)

    def shell(self, name: str) -> str:
        """The login shell of a user; empty when there is no such user."""
        return self.host.run(["getent", "passwd", name], check=False).stdout.strip().rpartition(":")[2]

    def has_group(self, name: str) -> bool:
        """Whether there is a group of this name."""
        return self.host.run(["getent", "group", name], check=False).returncode == 0

    def groups(self, name: str) -> set[str]:
        """The groups that a user is in; none when there is no such user."""
        return set(self.host.run(["id", "-nG", name], check=False).stdout.split())

    @abstractmethod
    def make_group(self, name: str) -> None:
        """Make a system group."""

    @abstractmethod
    def make(self, name: str) -> None:
        """Make a system user in the group of the same name, which there is, whom nobody can log in as."""

    @abstractmethod
    def allow_login(self, name: str, shell: str) -> None:
        """Allow logins as this user by key; a password there is not."""

    @abstractmethod
    def add_to_group(self, name: str, group: str) -> None:
        """Make the user a member of one more group."""

    @abstractmethod
    def remove(self, name: str) -> str | None:
        """Remove the user and its group, where that has no other members.

        Returns why that is not possible, None when they are gone.
        """

    @abstractmethod
    def remove_group(self, name: str) -> None:
        """Remove a group; nothing happens when there is none, or when it is a user's own."""

    @abstractmethod
    def remove_command(self, name: str) -> str:
        """What an operator runs to remove a user."""

    @abstractmethod
    def group_of_device(self, device: Path) -> str | None:
        """The group whose members may read and write ``device``; None where there is none but root's."""


@dataclass(frozen=True)
class GuestLink:
    """The interface by which guests reach the host, and what they reach there: TCP ports, and answers to a ping."""

    interface: str
    offered: tuple[str, ...] = ()  # NUMBER or FIRST-LAST
    hardware: str = (
        ""  # the first three bytes of guests' hardware addresses, where others use the interface, too
    )
    # Interfaces from which the host forwards to guests only: it is no router for those out there.
    outside: tuple[str, ...] = ()


class NetworkStack(ABC):
    """The host's own network. Addresses are ADDRESS/LENGTH, networks CIDR; ``table`` names our rules of a firewall."""

    def __init__(self, host: Transport) -> None:
        self.host = host

    def name_servers(self) -> list[str]:
        """The host's name servers that a guest can reach, too: IPv4, not loopback (resolv.conf(5))."""
        found = []
        for line in (self.host.read(Path("/etc/resolv.conf")) or "").splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                try:
                    address = ipaddress.ip_address(words[1])
                except ValueError:
                    continue
                if address.version == 4 and not address.is_loopback:
                    found.append(str(address))
        return found

    # -- interfaces ---------------------------------------------------------------------------------------

    @abstractmethod
    def has_interface(self, name: str) -> bool: ...

    @abstractmethod
    def is_tap(self, name: str) -> bool:
        """Whether an interface is a tap, the host's end of a guest's network card."""

    @abstractmethod
    def addresses(self, interface: str) -> list[str]:
        """The addresses of an interface that is up; none where it is down or missing."""

    @abstractmethod
    def outward(self) -> list[str]:
        """Interfaces to other machines: of hardware, or on the way to everywhere. Not those of containers or tunnels."""

    @abstractmethod
    def make_pair(self, one: str, other: str) -> None:
        """Make two interfaces of which each receives what the other sends."""

    @abstractmethod
    def delete_interface(self, name: str) -> None:
        """Delete an interface, with the other end if it is one of a pair; nothing happens when it is not there."""

    @abstractmethod
    def set_up(self, interface: str) -> None: ...

    @abstractmethod
    def leave_to_switch(self, interface: str) -> None:
        """Keep the host's own network off an interface that a switch in userspace reads beside it."""

    @abstractmethod
    def is_left_to_switch(self, interface: str) -> bool: ...

    @abstractmethod
    def take_back(self, interface: str) -> None:
        """Undo ``leave_to_switch``; nothing happens when there is no such interface."""

    @abstractmethod
    def fill_in_checksums(self, interface: str) -> None:
        """Have the kernel compute the checksums of what it sends, where it would leave that to the hardware."""

    @abstractmethod
    def give_address(self, interface: str, address: str) -> None: ...

    @abstractmethod
    def remove_addresses(self, interface: str) -> None: ...

    # -- routing and firewall -----------------------------------------------------------------------------

    @abstractmethod
    def forwards(self) -> bool:
        """Whether the host forwards IPv4."""

    @abstractmethod
    def set_forwarding(self, on: bool) -> None: ...

    @abstractmethod
    def translate(self, table: str, network: str) -> None:
        """Give what leaves ``network`` for elsewhere the host's address (NAT)."""

    @abstractmethod
    def translated(self, table: str) -> str | None:
        """The network that ``translate`` was given; None where there is no such table."""

    @abstractmethod
    def stop_translating(self, table: str) -> None:
        """Undo ``translate``; nothing happens when it was not done."""

    @abstractmethod
    def remove_filter(self, table: str) -> None:
        """Remove our rules against guests' frames; nothing happens when there are none."""

    @abstractmethod
    def limit_loopback(
        self,
        table: str,
        ports: Mapping[str, Sequence[str]],
        closed: Sequence[str],
        fetching: Mapping[str, Sequence[str]],
        networks: Sequence[str],
        link: GuestLink | None = None,
    ) -> None:
        """Let only these users, and root, connect to these of the host's own ports (NUMBER or FIRST-LAST).

        Those who are ``closed`` out connect to no port of the host at all. Those who are ``fetching`` connect to these
        ports of the host and no others, and to no address of ``networks`` (CIDR). What comes from guests by ``link``
        reaches what that offers. Raises CommandError.
        """

    @abstractmethod
    def limited_loopback(self, table: str) -> str | None:
        """What ``limit_loopback`` has made, as the firewall shows it; None where there is nothing of it."""

    @abstractmethod
    def open_loopback(self, table: str) -> None:
        """Undo ``limit_loopback``; nothing happens when it was not done."""

    @abstractmethod
    def drops_forwarded(self, network: str) -> list[str]:
        """The other firewalls' places that drop what is forwarded from ``network``. Raises CommandError."""

    @abstractmethod
    def allow_command(self, network: str) -> str:
        """What an operator runs so that another firewall forwards a network."""

    # -- the switch ---------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def datapath(self) -> str:
        """``system`` where the kernel has Open vSwitch's datapath, else ``netdev``: the one in userspace."""

    @abstractmethod
    def namespaces(self) -> list[str]:
        """The names of the network namespaces (Linux) or jails with a network (FreeBSD) of the host."""

    @abstractmethod
    def delete_namespace(self, name: str) -> None: ...


class Platform(ABC):
    """One host's operating system, acted on by way of ``transport``; without one, that of this machine."""

    name: str  # as os-release(5) has it (ID)
    versions: tuple[str, ...]  # the major releases that Skerry supports
    title: str  # for people: the system and these releases
    path: str  # where programs are looked for
    share: Path  # where packages have the data that does not depend on the machine
    python_packages: Path  # where packages have Python's modules
    ssh_settings: Path  # the folder of settings that every ssh on the host reads (ssh_config(5))
    sshd_folder: Path  # the empty folder that sshd insists on, compiled in
    become_root: tuple[str, ...]  # before a command: run it as root, with the group of who calls

    packages: PackageManager
    users: Users
    network: NetworkStack

    def __init__(self, transport: Transport | None = None) -> None:
        self.transport: Transport = transport or Local()

    # -- facts --------------------------------------------------------------------------------------------

    @property
    def release(self) -> dict[str, str]:
        """The operating system's description of itself (os-release(5)): ID, VERSION_ID, PRETTY_NAME …"""
        return release_of(self.transport)

    @property
    def supported(self) -> bool:
        """Whether Skerry supports this release."""
        release = self.release
        return release.get("ID") == self.name and release.get("VERSION_ID", "").split(".")[0] in self.versions

    @property
    @abstractmethod
    def has_systemd(self) -> bool:
        """Whether systemd is the host's init."""

    @abstractmethod
    def program(self, name: str) -> str:
        """The path of a program of the operating system's packages, installed yet or not."""

    @abstractmethod
    def identity(self, folder: Path) -> str:
        """What two hosts have in common only when they run on one kernel and share ``folder``."""

    @abstractmethod
    def killed_for_memory(self) -> list[str]:
        """The processes that the kernel ended because memory ran out, the latest last."""

    # -- programs and files -------------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout: float | None = 300,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program; ``timeout`` in seconds. Raises CommandError as ``skerry.common.proc.run`` does."""
        return self.transport.run(argv, env=env, input=input, timeout=timeout, check=check)

    def read(self, path: Path) -> str | None:
        """The text of a file, None where there is none."""
        return self.transport.read(path)

    def mode(self, path: Path) -> int | None:
        """The permission bits of a file or folder, None where there is none."""
        return self.transport.mode(path)

    def owner(self, path: Path) -> str | None:
        """The owner and the group of a file or folder, as USER:GROUP, None where there is none."""
        return self.transport.owner(path)

    def write(self, path: Path, text: str, *, mode: int = 0o644, owner: str | None = None) -> None:
        """Replace a file atomically."""
        self.transport.write(path, text, mode=mode, owner=owner)

    def make_folder(self, path: Path, *, mode: int = 0o755, owner: str | None = None) -> None:
        """Make a folder and its missing parents, and give it ``mode`` and ``owner`` (USER or USER:GROUP)."""
        self.transport.make_folder(path, mode=mode, owner=owner)

    def remove(self, path: Path) -> None:
        """Remove a file or a whole folder; nothing happens when it is not there."""
        self.transport.remove(path)


def release_of(host: Transport) -> dict[str, str]:
    """The fields of a host's os-release(5); none where it has no such file."""
    text = host.read(Path("/etc/os-release")) or ""
    return {key: value.strip("'\"") for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)}
