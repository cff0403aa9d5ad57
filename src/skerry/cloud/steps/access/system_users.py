"""The system users and groups that this host's part of the cloud runs as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.cloud.model.users import FORMER, USERS, groups_of
from skerry.common.errors import NotReadyError
from skerry.common.wait import wait_for


class SystemUsers(Step):
    """Every user of this host's components exists, in its groups."""

    name = "users"
    title = "system users"
    cost = 0.2

    def __init__(self, ctx: Context, names: Sequence[str]) -> None:
        self.ctx = ctx
        self.wanted = [USERS[name] for name in dict.fromkeys(names)]
        self.groups = groups_of(user.name for user in self.wanted)

    def check(self) -> list[Change]:
        users = self.ctx.platform.users
        changes = [Change(f"create system group {name}") for name in self.groups if not users.has_group(name)]
        for user in self.wanted:
            if not users.exists(user.name):
                changes.append(Change(f"create system user {user.name}"))
            elif missing := set(user.every_group) - users.groups(user.name):
                changes.append(Change(f"add {user.name} to {', '.join(sorted(missing))}"))
        return changes

    def apply(self, report: Callable[[str], None]) -> None:
        users, made = self.ctx.platform.users, MadeUsers(self.ctx)
        for name in self.groups:
            if not users.has_group(name):
                made.note(name)
                users.make_group(name)
        for user in self.wanted:
            if not users.exists(user.name):
                made.note(user.name)
                users.make(user.name)
            for group in user.every_group:
                if group not in users.groups(user.name):
                    users.add_to_group(user.name, group)


class MadeUsers:
    """The users and groups that were made for the cloud, on file before they are made, and removed with it."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self._path = ctx.layout.state / "made-users"
        self._former = ctx.layout.state / "made-user"

    def names(self) -> list[str]:
        """Names of users, of groups, and of users with a group of that name."""
        former = [FORMER] if self.ctx.platform.read(self._former) is not None else []
        return list(dict.fromkeys([*former, *(self.ctx.platform.read(self._path) or "").split()]))

    def note(self, name: str) -> None:
        if name not in self.names():
            self.ctx.platform.write(self._path, "\n".join([*self.names(), name]) + "\n")


def remove(ctx: Context, names: Sequence[str]) -> dict[str, str]:
    """Remove these users and groups; returns why some stay: their processes do not end in time."""
    users, stay = ctx.platform.users, dict.fromkeys(names, "")

    def missing() -> str | None:
        for name in tuple(stay):
            why = users.remove(name)
            if why is None:
                del stay[name]
            else:
                stay[name] = why
        return next(iter(stay.values()), None)

    with suppress(NotReadyError):
        wait_for("users to be let go", missing, 10)
    for name in names:
        if name not in stay:
            users.remove_group(name)
    return stay


def is_of_one_user(ctx: Context) -> bool:
    """Whether this host's part of the cloud is as it was when all services ran as one user."""
    layout = ctx.layout
    return any((ctx.platform.owner(path) or "").startswith(f"{FORMER}:") for path in _witnesses(layout.state))


def _witnesses(state: Path) -> list[Path]:
    """What each host has of some service."""
    return [state / "ovs", state / "mariadb"]
