"""System users and folders: what is made, in which order, and what is handed over from the time of one user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skerry.cloud.components import registry
from skerry.cloud.context import Context
from skerry.cloud.engine.transport import Local
from skerry.cloud.model.users import GROUP, USERS, groups_of
from skerry.cloud.operations.graph import graph
from skerry.cloud.operations.preflight import UsersApart
from skerry.cloud.platform.choice import platform_of
from skerry.cloud.steps.access.system_users import MadeUsers, SystemUsers, remove
from skerry.cloud.steps.machine import MachineSetup
from skerry.cloud.supervise.service import Folder


class Accounts:
    """The accounts of a machine, in memory."""

    def __init__(self, *groups: str) -> None:
        self.users: dict[str, set[str]] = {}
        self.known, self.busy = set(groups), set[str]()

    def exists(self, name: str) -> bool:
        return name in self.users

    def has_group(self, name: str) -> bool:
        return name in self.known

    def groups(self, name: str) -> set[str]:
        return self.users.get(name, set())

    def make_group(self, name: str) -> None:
        assert name not in self.known
        self.known.add(name)

    def make(self, name: str) -> None:
        assert name in self.known, "its own group is there before"
        self.users[name] = {name}

    def add_to_group(self, name: str, group: str) -> None:
        assert group in self.known
        self.users[name].add(group)

    def remove(self, name: str) -> str | None:
        if name in self.busy:
            return f"user {name} is currently used"
        self.users.pop(name, None)
        return None

    def remove_group(self, name: str) -> None:
        self.known.discard(name)


class Owned(Local):
    """This machine, whose files have owners by a list: nothing is really handed over."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        self.ran: list[list[str]] = []

    def run(self, argv: Any, **more: Any) -> Any:
        self.ran.append(list(argv))

    def owner(self, path: Path) -> str | None:
        return self.owners.get(str(path), "root:root") if path.exists() else None

    def make_folder(self, path: Path, *, mode: int = 0o755, owner: str | None = None) -> None:
        super().make_folder(path, mode=mode)
        self.owners[str(path)] = owner or "root:root"


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    found = Context.at(tmp_path)
    found.platform = platform_of(Owned())
    found.platform.users = Accounts("kvm")  # type: ignore[assignment]
    return found


def test_users_come_with_their_groups_and_go_again(ctx: Context) -> None:
    step = SystemUsers(ctx, registry.users(ctx))
    assert any("create system user skerry-identity" in str(change) for change in step.check())
    step.apply(print)
    assert step.check() == []
    accounts: Any = ctx.platform.users
    assert set(accounts.users) == {
        user for user in USERS if user not in ("skerry-object", "skerry-stacks", "skerry-keys")
    }
    assert all(GROUP in groups for groups in accounts.users.values())
    assert [name for name, groups in accounts.users.items() if "skerry-compute" in groups] == [
        "skerry-compute"
    ]
    assert remove(ctx, MadeUsers(ctx).names()) == {}
    assert accounts.users == {} and accounts.known == {"kvm"}


def test_users_that_were_there_before_stay(ctx: Context) -> None:
    accounts: Any = ctx.platform.users
    accounts.make_group("skerry-image")
    accounts.make("skerry-image")
    SystemUsers(ctx, registry.users(ctx)).apply(print)
    assert GROUP in accounts.groups("skerry-image")
    remove(ctx, MadeUsers(ctx).names())
    assert set(accounts.users) == {"skerry-image"}


def test_a_user_that_is_at_work_is_named(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    SystemUsers(ctx, registry.users(ctx)).apply(print)
    accounts: Any = ctx.platform.users
    accounts.busy = {"skerry-web"}
    monkeypatch.setattr("skerry.common.wait.time.sleep", lambda seconds: None)
    monkeypatch.setattr(
        "skerry.cloud.steps.access.system_users.wait_for", lambda what, missing, seconds: missing()
    )
    assert remove(ctx, MadeUsers(ctx).names()) == {"skerry-web": "user skerry-web is currently used"}
    assert set(accounts.users) == {"skerry-web"}


def test_a_compute_host_has_its_own_users_only(tmp_path: Path) -> None:
    from tests.support.samples.three_hosts import at

    assert set(registry.users(at(tmp_path, "two"))) == {
        "skerry-web",
        "skerry-switch",
        "skerry-guest",
        "skerry-compute",
        "skerry-network",
    }


def test_every_user_and_group_of_a_folder_is_made_for_it(tmp_path: Path) -> None:
    from tests.support.samples.three_hosts import at

    for name in (None, "two"):
        ctx = at(tmp_path / str(name), name)
        known = {"root", *groups_of(registry.users(ctx))}
        for part in registry.present(ctx):
            for folder in part.folders():
                assert set(folder.owners.split(":")) <= known, f"{part.name}: {folder}"
            for file in part.every_file():
                assert not file.secret or (file.owner in known and file.owner), f"{part.name}: {file.path}"
            for service in part.services():
                assert service.user in known, service.name


def test_no_folder_of_a_cloud_is_open_to_all(ctx: Context) -> None:
    step = graph(ctx).steps["machine"]
    assert isinstance(step, MachineSetup)
    for folder in step.folders:
        assert folder.mode & 0o022 == 0, "only its owner writes"
        assert folder.mode & 0o007 == 0 or folder.path == ctx.layout.etc, folder


def test_the_trees_of_one_user_are_handed_over_once(ctx: Context) -> None:
    outer = Folder(ctx.layout.state / "outer", "skerry-compute", GROUP, 0o710)
    inner = Folder(outer.path / "inner", "skerry-compute", "skerry-guest", 0o2750)
    host: Any = ctx.platform.transport
    step = MachineSetup(ctx, [inner, outer])
    for folder in (outer, inner):
        folder.path.mkdir(parents=True)
        host.owners[str(folder.path)] = "skerry:skerry"
    step.apply(print)
    assert host.ran == [
        ["chown", "-R", "--no-dereference", "skerry-compute:skerry", str(outer.path)],
        ["chown", "-R", "--no-dereference", "skerry-compute:skerry-guest", str(inner.path)],
        ["find", str(inner.path), "-type", "d", "-exec", "chmod", "g+s", "{}", "+"],
    ]
    assert step.check() == []
    host.ran.clear()
    step.apply(print)
    assert host.ran == []


def test_a_running_cloud_of_one_user_is_stopped_first(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctx.supervisor, "running", lambda: True)
    assert UsersApart().problem(ctx) is None
    place, host = ctx.layout.state / "ovs", ctx.platform.transport
    place.mkdir(parents=True)
    assert isinstance(host, Owned)
    host.owners[str(place)] = "skerry:skerry"
    assert "one user (skerry)" in (UsersApart().problem(ctx) or "")
    monkeypatch.setattr(ctx.supervisor, "running", lambda: False)
    assert UsersApart().problem(ctx) is None
