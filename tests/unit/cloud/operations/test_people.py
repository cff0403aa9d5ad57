"""People of a cloud, with a keystone of this test's own: what is made, what is left alone, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from keystoneauth1.exceptions import Unauthorized
from openstack.exceptions import HttpException
from requests import Response
from tests.support.samples.three_hosts import at

from skerry.cloud.context import Context
from skerry.cloud.operations import people as module
from skerry.cloud.operations.people import People, quotas, render
from skerry.common.errors import NotFoundError, RefusedError, UsageError


class Thing(SimpleNamespace):
    """A resource as openstacksdk has it."""

    id: str
    name: str


class FakeKeystone:
    """As much of keystone as is asked, with its passwords and credentials."""

    def __init__(self) -> None:
        self.people: dict[str, Thing] = {}
        self.places = {name: Thing(id=f"p-{name}", name=name) for name in ("admin", "service")}
        self.passwords: dict[str, str] = {}
        self.given: set[tuple[str, str, str]] = set()  # user, project, role
        self.credentials: dict[str, Thing] = {}
        self.made = self.refusals = 0

    def users(self, domain_id: str) -> list[Thing]:
        return list(self.people.values())

    def projects(self) -> list[Thing]:
        return list(self.places.values())

    def roles(self) -> list[Thing]:
        return [Thing(id=f"r-{name}", name=name) for name in ("admin", *module.ROLES)]

    def find_user(self, name: str, domain_id: str) -> Thing | None:
        return self.people.get(name)

    def find_project(self, name: str, domain_id: str = "") -> Thing | None:
        return next((place for place in self.places.values() if name in (place.name, place.id)), None)

    def find_role(self, name: str, ignore_missing: bool = True) -> Thing:
        return next(role for role in self.roles() if role.name == name)

    def create_project(self, name: str, domain_id: str) -> Thing:
        self.places[name] = Thing(id=f"p-{name}", name=name)
        return self.places[name]

    def create_user(self, name: str, password: str, domain_id: str, **about: str) -> Thing:
        user = Thing(id=f"u-{name}", name=name, is_enabled=True, **about)
        self.people[name], self.passwords[name] = user, password
        return user

    def update_user(self, user: Thing, **changes: str) -> Thing:
        if "password" in changes:
            self.passwords[user.name] = changes["password"]
            self.refusals = 1
        user.default_project_id = changes.get("default_project_id", user.default_project_id)
        return user

    def delete_user(self, user: Thing) -> None:
        del self.people[user.name]

    def role_assignments(self, user_id: str, scope_project_id: str) -> Iterator[Thing]:
        for user, project, role in self.given:
            if (user, project) == (user_id, scope_project_id):
                yield Thing(role={"id": f"r-{role}"})

    def assign_project_role_to_user(self, project: Thing, user: Thing, role: Thing) -> None:
        self.given.add((user.id, project.id, role.name))

    def unassign_project_role_from_user(self, project: Thing, user: Thing, role: Thing) -> None:
        self.given.discard((user.id, project.id, role.name))

    def opens(self, user: str, project: str) -> set[str]:
        """The roles of a user in a project, those that they imply among them."""
        given = {role for who, where, role in self.given if (who, where) == (user, project)}
        return {name for role in given for name in implied(role)}


def implied(role: str) -> tuple[str, ...]:
    return module.ROLES[: module.ROLES.index(role) + 1]


class Mine:
    """A connection of one person."""

    def __init__(self, keystone: FakeKeystone, auth: Mapping[str, str]) -> None:
        self.keystone, self.auth, self.identity = keystone, auth, self

    def access(self) -> Thing | None:
        """What a login gives."""
        if "password" in self.auth:
            right = self.keystone.passwords.get(self.auth["username"]) == self.auth["password"]
            return Thing(role_names=[], project_id=self.auth["project_id"]) if right else None
        row = self.keystone.credentials.get(self.auth["application_credential_id"])
        if row is None or row.secret != self.auth["application_credential_secret"]:
            return None
        names = set(implied(row.roles[0]["name"])) & self.keystone.opens(row.user, row.project_id)
        return Thing(role_names=sorted(names), project_id=row.project_id)

    def demand(self) -> None:
        """Refuse, as keystone does, for a second after a password has changed."""
        if self.access() is None:
            raise Unauthorized("no")
        if self.keystone.refusals:
            self.keystone.refusals -= 1
            response = Response()
            response.status_code = 401
            raise HttpException("a token of the same second", response=response)

    def application_credentials(self, user: str) -> list[Thing]:
        self.demand()
        return [row for row in self.keystone.credentials.values() if row.user == user]

    def delete_application_credential(self, user: str, row: Thing) -> None:
        del self.keystone.credentials[row.id]

    def create_application_credential(self, user: str, name: str, roles: Any, **more: Any) -> Thing:
        self.keystone.made += 1
        row = Thing(
            id=f"c-{self.keystone.made}",
            name=name,
            user=user,
            secret=f"secret-{self.keystone.made}",
            roles=roles,
            project_id=self.auth["project_id"],
            unrestricted=more["unrestricted"],
        )
        self.keystone.credentials[row.id] = row
        return row


class Quota(SimpleNamespace):
    """The quotas of one API."""

    def get_quota_set(self, project: str) -> Quota:
        return self

    get_quota = get_quota_set

    def update_quota_set(self, project: str, **values: int) -> None:
        vars(self).update(values)

    update_quota = update_quota_set


@pytest.fixture
def keystone() -> FakeKeystone:
    return FakeKeystone()


@pytest.fixture
def ctx(tmp_path: Path, keystone: FakeKeystone, monkeypatch: pytest.MonkeyPatch) -> Context:
    ctx = at(tmp_path, text="")
    compute, network = Quota(instances=10, cores=20), Quota(networks=100)
    ctx.__dict__["api"] = SimpleNamespace(identity=keystone, compute=compute, network=network)
    monkeypatch.setattr(People, "_connection", lambda self, auth: Mine(keystone, auth))
    monkeypatch.setattr(People, "_request", lambda self, auth: Mine(keystone, auth).demand())
    monkeypatch.setattr(People, "_access", lambda self, auth: Mine(keystone, auth).access())
    monkeypatch.delenv("SUDO_UID", raising=False)
    return ctx


def create(ctx: Context, name: str = "ann", **more: Any) -> list[str]:
    return People(ctx).create(name, **{"project": None, "role": None, "quota": {}, **more}).changed


def test_what_a_person_gets(ctx: Context, keystone: FakeKeystone) -> None:
    person = People(ctx).create("ann", project=None, role=None, quota={"instances": 2, "networks": 3})
    assert (person.name, person.project, person.role) == ("ann", "ann", "member")
    assert keystone.given == {("u-ann", "p-ann", "member")}
    assert (ctx.api.compute.instances, ctx.api.network.networks) == (2, 3)
    path = Path(str(person.clouds_yaml))
    assert path.stat().st_mode & 0o777 == 0o600
    cloud = json.loads("\n".join(path.read_text().splitlines()[2:]))["clouds"]["skerry"]
    assert cloud["auth_type"] == "v3applicationcredential"
    assert cloud["auth"]["application_credential_id"] == "c-1"
    about = json.loads(path.read_text().splitlines()[1].removeprefix("# "))
    assert keystone.passwords["ann"] == about["password"] and about["user"] == "ann"


def test_again_changes_nothing(ctx: Context, keystone: FakeKeystone) -> None:
    assert create(ctx, quota={"cores": 4}, role="reader")
    text = People(ctx).path("ann").read_text()
    assert create(ctx, quota={"cores": 4}) == [], "role and project stay what they are"
    assert People(ctx).path("ann").read_text() == text and keystone.made == 1


def test_a_lost_file_is_made_again(ctx: Context, keystone: FakeKeystone) -> None:
    create(ctx)
    People(ctx).path("ann").unlink()
    assert create(ctx) == ["password of ann", "application credential"]
    assert list(keystone.credentials) == ["c-2"], "the old credential is gone"


def test_a_broken_file_is_made_again(ctx: Context) -> None:
    create(ctx)
    People(ctx).path("ann").write_text("# Written by skerry.\n[")
    assert "application credential" in create(ctx)
    assert create(ctx) == []


def test_a_password_that_the_person_changed_stays(ctx: Context, keystone: FakeKeystone) -> None:
    create(ctx)
    keystone.passwords["ann"] = "her own"
    assert create(ctx) == [] and keystone.passwords["ann"] == "her own"


def test_a_lost_credential_is_made_with_the_password_that_is_known(
    ctx: Context, keystone: FakeKeystone
) -> None:
    create(ctx)
    before = dict(keystone.passwords)
    keystone.credentials.clear()
    assert create(ctx) == ["application credential"] and keystone.passwords == before


def test_a_credential_that_gives_another_role_is_kept(ctx: Context, keystone: FakeKeystone) -> None:
    create(ctx)
    assert create(ctx, role="reader") == ["role reader in project ann"]
    assert keystone.given == {("u-ann", "p-ann", "reader")}
    assert create(ctx, role="member") == ["role member in project ann"]


def test_a_credential_that_gives_too_little_is_made_again(ctx: Context, keystone: FakeKeystone) -> None:
    create(ctx)
    assert create(ctx, role="manager") == ["role manager in project ann", "application credential"]
    assert [row.roles for row in keystone.credentials.values()] == [[{"name": "manager"}]]


def test_two_share_a_project(ctx: Context, keystone: FakeKeystone) -> None:
    create(ctx, project="island")
    assert "project island" not in create(ctx, "bob", project="island")
    assert create(ctx, "bob") == []
    assert (
        keystone.people["ann"].default_project_id == keystone.people["bob"].default_project_id == "p-island"
    )


def test_a_person_moves_to_another_project(ctx: Context, keystone: FakeKeystone) -> None:
    create(ctx)
    changed = create(ctx, project="island")
    assert "project island" in changed and "application credential" in changed
    assert keystone.credentials["c-2"].project_id == "p-island"


def test_with_heat_the_file_has_the_login_by_password_too(ctx: Context, keystone: FakeKeystone) -> None:
    create(ctx)
    ctx.cloud = ctx.cloud.model_copy(update={"features": ("heat",)})
    assert create(ctx) == ["clouds.yaml"] and create(ctx) == []
    text = People(ctx).path("ann").read_text()
    clouds = json.loads("\n".join(text.splitlines()[2:]))["clouds"]
    assert [cloud["auth_type"] for cloud in clouds.values()] == ["v3applicationcredential", "v3password"]
    assert clouds["skerry-password"]["auth"]["project_id"] == "p-ann"
    assert keystone.credentials["c-1"].unrestricted is False


def test_a_credential_that_makes_others_is_replaced(ctx: Context, keystone: FakeKeystone) -> None:
    create(ctx)
    path = People(ctx).path("ann")
    path.write_text(path.read_text().replace('"user": "ann"', '"unrestricted": true, "user": "ann"'))
    assert create(ctx) == ["application credential"]


@pytest.mark.parametrize("name", ["admin", "nova", "neutron", "heat"])
def test_the_clouds_own_accounts_are_refused(ctx: Context, name: str) -> None:
    with pytest.raises(RefusedError, match="of the cloud itself"):
        create(ctx, name)
    with pytest.raises(RefusedError, match="of the cloud itself"):
        People(ctx).delete(name)
    with pytest.raises(RefusedError, match="'service'"):
        create(ctx, project="service")


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "x/y", "é"])
def test_names_that_cannot_be(ctx: Context, name: str) -> None:
    with pytest.raises(UsageError, match="is no name"):
        create(ctx, name)


def test_an_account_of_somebody_elses_making_is_left_alone(ctx: Context, keystone: FakeKeystone) -> None:
    keystone.create_user("demo", "hers", "default", description="", default_project_id="")
    for attempt in (lambda: create(ctx, "demo"), lambda: People(ctx).delete("demo")):
        with pytest.raises(RefusedError, match="was not made by 'skerry user create'"):
            attempt()
    assert keystone.passwords["demo"] == "hers" and "demo" in keystone.people


def test_a_cloud_with_another_name(ctx: Context, keystone: FakeKeystone) -> None:
    create(ctx)
    ctx.cloud = ctx.cloud.model_copy(update={"name": "isle"})
    assert create(ctx) == ["clouds.yaml"] and create(ctx) == []
    assert '"isle"' in People(ctx).path("ann").read_text() and keystone.made == 1


def test_who_there_is(ctx: Context, keystone: FakeKeystone) -> None:
    keystone.people["nova"] = Thing(id="u-nova", name="nova", default_project_id=None, is_enabled=True)
    assert People(ctx).all() == [] and "user create" in render([])
    create(ctx, "bob")
    create(ctx)
    rows = People(ctx).all()
    assert [(row.name, row.project, row.role) for row in rows] == [
        ("ann", "ann", "member"),
        ("bob", "bob", "member"),
    ]
    assert str(People(ctx).path("bob")) in render(rows)


def test_delete(ctx: Context, keystone: FakeKeystone) -> None:
    create(ctx)
    assert People(ctx).delete("ann") == "ann"
    assert keystone.people == {} and not People(ctx).path("ann").exists()
    create(ctx, "anna")
    with pytest.raises(NotFoundError, match="Did you mean 'anna'"):
        People(ctx).delete("ann")


def test_the_file_of_somebody(ctx: Context) -> None:
    create(ctx)
    assert People(ctx).file_of("ann").exists()
    with pytest.raises(NotFoundError, match="Did you mean 'ann'"):
        People(ctx).file_of("anne")
    with pytest.raises(NotFoundError):
        People(ctx).file_of("../secrets")


def test_handing_over(ctx: Context, tmp_path: Path) -> None:
    create(ctx)
    people, out = People(ctx), tmp_path / "out"
    out.mkdir()
    assert people.hand_over("ann", out) == out / "clouds.yaml"
    assert people.hand_over("ann", out / "clouds.yaml").read_text() == people.path("ann").read_text()
    assert (out / "clouds.yaml").stat().st_mode & 0o777 == 0o600
    own = out / "mine.yaml"
    own.write_text("clouds: {}\n")
    with pytest.raises(RefusedError, match="was not written by Skerry"):
        people.hand_over("ann", own)
    assert own.read_text() == "clouds: {}\n"
    link = out / "link.yaml"
    link.symlink_to(tmp_path / "elsewhere")
    people.hand_over("ann", link)
    assert not link.is_symlink() and not (tmp_path / "elsewhere").exists()


def test_quotas() -> None:
    assert quotas(["cores=4", "ram=-1", "networks=0"]) == {"cores": 4, "ram": -1, "networks": 0}
    for word, shown in (
        ("coers=4", "Did you mean 'cores'?"),
        ("cores", "''"),
        ("cores=x", "'x'"),
        ("ram=-2", "'-2'"),
    ):
        with pytest.raises(UsageError) as error:
            quotas([word])
        assert shown in str(error.value) and error.value.remedy


def test_another_host_of_the_cloud(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="part of the cloud of one"):
        People(at(tmp_path, "two"))
