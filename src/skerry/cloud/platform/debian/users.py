"""Accounts by the tools of shadow: useradd(8), usermod(8), userdel(8)."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.platform.base import Users
from skerry.common.proc import last_lines

NO_SUCH_USER = 6  # userdel(8)


class ShadowUsers(Users):
    def make_group(self, name: str) -> None:
        self.host.run(["groupadd", "--system", name])

    def make(self, name: str) -> None:
        kind = ["--system", "--gid", name, "--no-create-home", "--home-dir", "/nonexistent"]
        self.host.run(["useradd", *kind, "--shell", "/usr/sbin/nologin", name])

    def allow_login(self, name: str, shell: str) -> None:
        # '*' is no password either, but unlike '!' it does not lock the account for keys too.
        self.host.run(["usermod", "--shell", shell, "--password", "*", name])

    def add_to_group(self, name: str, group: str) -> None:
        self.host.run(["usermod", "--append", "--groups", group, name])

    def remove(self, name: str) -> str | None:
        done = self.host.run(["userdel", name], check=False)
        return None if done.returncode in (0, NO_SUCH_USER) else last_lines(done.stderr, 1)

    def remove_group(self, name: str) -> None:
        self.host.run(["groupdel", name], check=False)

    def remove_command(self, name: str) -> str:
        return f"userdel {name}"

    def group_of_device(self, device: Path) -> str | None:
        shown = self.host.run(["stat", "--format=%g %a %G", str(device)], check=False)
        if shown.returncode:
            return None
        number, mode, name = shown.stdout.split()
        # A container may have the device of another system, and no name for its group.
        return name if number != "0" and name != "UNKNOWN" and int(mode, 8) & 0o060 == 0o060 else None
