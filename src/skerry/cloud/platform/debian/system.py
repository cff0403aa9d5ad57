"""Debian 12 and 13, with systemd as their init or without."""

from __future__ import annotations

import re
from pathlib import Path

from skerry.cloud.engine.transport import Transport
from skerry.cloud.platform.base import Platform
from skerry.cloud.platform.debian.network import LinuxNetwork
from skerry.cloud.platform.debian.packages import SYSTEMD, AptPackages
from skerry.cloud.platform.debian.users import ShadowUsers

PROGRAMS = {  # folders of the programs that are not in /usr/bin
    "/usr/sbin": ("haproxy", "libvirtd", "mariadbd", "ovs-vswitchd", "ovsdb-server", "sshd", "virtlogd"),
    "/usr/lib/rabbitmq/bin": ("rabbitmq-diagnostics", "rabbitmq-server", "rabbitmqctl"),
}
_FOLDERS = {program: folder for folder, programs in PROGRAMS.items() for program in programs}
_KILLED = re.compile(r"(?:Out of memory|Memory cgroup out of memory): Killed process (\d+) \((\S+?)\)")
_IDENTITY = 'cat /proc/sys/kernel/random/boot_id; stat -c %d:%i "$1"'


class Debian(Platform):
    name = "debian"
    versions = ("12", "13")
    title = "Debian 12 and 13"
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    share = Path("/usr/share")
    python_packages = Path("/usr/lib/python3/dist-packages")
    ssh_settings = Path("/etc/ssh/ssh_config.d")
    sshd_folder = Path("/run/sshd")
    become_root = ("/usr/bin/setpriv", "--reuid=0", "--clear-groups")

    def __init__(self, transport: Transport | None = None) -> None:
        super().__init__(transport)
        self.packages = AptPackages(self.transport)
        self.users = ShadowUsers(self.transport)
        self.network = LinuxNetwork(self.transport)

    @property
    def has_systemd(self) -> bool:
        return self.mode(SYSTEMD) is not None

    def program(self, name: str) -> str:
        return f"{_FOLDERS.get(name, '/usr/bin')}/{name}"

    def identity(self, folder: Path) -> str:
        return self.run(["sh", "-c", _IDENTITY, "sh", str(folder)], check=False).stdout

    def killed_for_memory(self) -> list[str]:
        lines = self.run(["dmesg"], check=False, timeout=10).stdout.splitlines()
        return [f"{found[2]} (process {found[1]})" for line in lines if (found := _KILLED.search(line))]
