"""People who use the cloud: account, project, role, quota, an application credential, and a clouds.yaml to hand over.

The cloud keeps a copy of each clouds.yaml for 'skerry openstack --as NAME'. What a person has is looked at and completed,
so that 'user create' can be repeated; a password that the person has changed is left alone while the credential works.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from skerry.cloud.components import registry
from skerry.cloud.context import Context
from skerry.cloud.model.values import cloud_name
from skerry.common import log
from skerry.common.errors import NotFoundError, RefusedError, UsageError, did_you_mean
from skerry.common.files import write_atomically
from skerry.common.wait import wait_for

DOMAIN = "default"
ROLES = ("reader", "member", "manager")  # of a project; 'admin' would be one of the whole cloud
QUOTAS = {  # by the API that has it
    "compute": ("instances", "cores", "ram", "key_pairs", "server_groups", "server_group_members"),
    "network": (
        "networks",
        "subnets",
        "ports",
        "routers",
        "floating_ips",
        "security_groups",
        "security_group_rules",
    ),
}
UNAUTHORIZED = 401
OF_CREDENTIAL = ("application_credential_id", "application_credential_secret")
MADE = "made by 'skerry user create'"  # the description of such accounts
CREDENTIAL = "skerry"  # the name of the application credential
MARK = "# Written by skerry."  # files that begin so may be replaced


@dataclass(frozen=True)
class Person:
    """A person with an account; ``clouds_yaml`` is the cloud's own copy, None where there is none."""

    name: str
    project: str
    role: str
    enabled: bool
    clouds_yaml: str | None
    changed: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class People:
    """The people of a cloud that is up."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.folder = ctx.layout.etc / "people"
        if not ctx.leads:
            raise UsageError(
                f"This host is a part of the cloud of {ctx.cloud.leader.name}.", remedy="Run it on that host."
            )

    # -- what there is ------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        """Where the cloud has a person's clouds.yaml."""
        return self.folder / f"{name}.yaml"

    def file_of(self, name: str) -> Path:
        """The same, of a person who has one. Raises NotFoundError, which names the others."""
        names = [path.stem for path in self.folder.glob("*.yaml")]
        if name not in names:
            raise NotFoundError(
                f"There is nobody '{name}' with access data here.{did_you_mean(name, names)}",
                remedy=f"'skerry user create {name}' makes some. There are: {', '.join(sorted(names)) or 'none'}.",
            )
        return self.path(name)

    def all(self) -> list[Person]:
        """Everybody in the cloud's domain but the accounts of the cloud itself."""
        identity = self.ctx.api.identity
        projects = {project.id: project.name for project in identity.projects()}
        found = []
        for user in sorted(identity.users(domain_id=DOMAIN), key=lambda user: str(user.name)):
            if user.name not in self._own():
                project = user.default_project_id or ""
                role = self._role(user, project) if project else None
                found.append(self._person(user, projects.get(project, ""), role or ""))
        return found

    def _person(self, user: Any, project: str, role: str, changed: Iterable[str] = ()) -> Person:
        path = self.path(user.name)
        shown = str(path) if path.exists() else None
        return Person(user.name, project, role, bool(user.is_enabled), shown, list(changed))

    def _own(self) -> set[str]:
        """Accounts that the cloud works with."""
        return {"admin", *(part.name for part in registry.components() if part.account)}

    def _role(self, user: Any, project_id: str) -> str | None:
        """The highest of ``ROLES`` that a user has in a project."""
        identity = self.ctx.api.identity
        names = {role.id: role.name for role in identity.roles()}
        rows = identity.role_assignments(user_id=user.id, scope_project_id=project_id)
        have = {names.get(row.role["id"]) for row in rows}
        return next((role for role in reversed(ROLES) if role in have), None)

    # -- what is made -------------------------------------------------------------------------------------

    def create(self, name: str, *, project: str | None, role: str | None, quota: Mapping[str, int]) -> Person:
        """Give a person all that is missing; what is there and right stays.

        Without ``project`` it is the one that the person has, or one of the person's name; without ``role`` the one that
        the person has, or 'member'. Raises UsageError (a name that cannot be), RefusedError (an account of the cloud
        itself, or of somebody else's making), CloudDownError.
        """
        for what in (name, project or name):
            try:
                cloud_name(what)
            except ValueError as error:
                raise UsageError(str(error)) from None
        if project == "service":
            raise RefusedError("'service' is the project of the cloud's services.", remedy="Choose another.")
        identity, changed = self.ctx.api.identity, list[str]()
        user = self._user(name)
        place = self._project(project or name, user if project is None else None, changed)
        password = None
        if user is None:
            password = _drawn()
            about = {"description": MADE, "domain_id": DOMAIN, "default_project_id": place.id}
            user = identity.create_user(name=name, password=password, **about)
            changed.append(f"account {name}")
        elif user.default_project_id != place.id:
            user = identity.update_user(user, default_project_id=place.id)
            changed.append(f"project of {name}")
        wanted = role or self._role(user, place.id) or "member"
        self._give_role(user, place, wanted, changed)
        self._give_quota(place, quota, changed)
        self._give_access(user, place, wanted, password, changed)
        return self._person(user, place.name, wanted, changed)

    def _user(self, name: str) -> Any:
        """The account of a person, None where there is none. Raises RefusedError for one that was not made here."""
        if name in self._own():
            raise RefusedError(f"'{name}' is an account of the cloud itself.", remedy="Choose another name.")
        user = self.ctx.api.identity.find_user(name, domain_id=DOMAIN)
        if user is not None and user.description != MADE:
            raise RefusedError(
                f"The account '{name}' was not made by 'skerry user create', and stays as it is.",
                remedy=f"Choose another name, or look at it: skerry openstack user show {name}",
            )
        return user

    def _project(self, name: str, user: Any, changed: list[str]) -> Any:
        """The project of this name; for a user who has one already, that one."""
        identity = self.ctx.api.identity
        if user is not None and user.default_project_id:
            found = identity.find_project(user.default_project_id)
            if found is not None:
                return found
        found = identity.find_project(name, domain_id=DOMAIN)
        if found is None:
            found = identity.create_project(name=name, domain_id=DOMAIN)
            changed.append(f"project {name}")
        return found

    def _give_role(self, user: Any, project: Any, wanted: str, changed: list[str]) -> None:
        identity = self.ctx.api.identity
        if self._role(user, project.id) == wanted:
            return
        for name in ROLES:
            role = identity.find_role(name, ignore_missing=False)
            if name == wanted:
                identity.assign_project_role_to_user(project, user, role)
            else:
                identity.unassign_project_role_from_user(project, user, role)
        changed.append(f"role {wanted} in project {project.name}")

    def _give_quota(self, project: Any, quota: Mapping[str, int], changed: list[str]) -> None:
        api = self.ctx.api
        compute = {name: value for name, value in quota.items() if name in QUOTAS["compute"]}
        network = {name: value for name, value in quota.items() if name in QUOTAS["network"]}
        if compute:
            have = api.compute.get_quota_set(project.id)
            if any(getattr(have, name) != value for name, value in compute.items()):
                api.compute.update_quota_set(project.id, **compute)
                changed += [f"quota {name}={value}" for name, value in compute.items()]
        if network:
            have = api.network.get_quota(project.id)
            if any(getattr(have, name) != value for name, value in network.items()):
                api.network.update_quota(project.id, **network)
                changed += [f"quota {name}={value}" for name, value in network.items()]

    def _give_access(
        self, user: Any, project: Any, role: str, password: str | None, changed: list[str]
    ) -> None:
        """A clouds.yaml whose application credential works, for this project and role."""
        kept = _read(self.path(user.name))
        if password is None and self._works(kept, project, role):
            text = self._content(self._login(user.name, kept["password"], project), kept)
            # The cloud has another name by now, or another address, or heat.
            if text != self.path(user.name).read_text():
                write_atomically(self.path(user.name), text, mode=0o600)
                changed.append("clouds.yaml")
            return
        for known in (password, kept.get("password")):
            if known and self._access(self._login(user.name, known, project)) is not None:
                password = known
                break
        else:
            password = _drawn()
            self.ctx.api.identity.update_user(user, password=password)
            changed.append(f"password of {user.name}")
        self._make_access(user, project, role, password)
        changed.append("application credential")

    def _make_access(self, user: Any, project: Any, role: str, password: str) -> None:
        """Make the credential and the file. Only the user may: it takes a login, which keystone may yet refuse.

        A change of a password or a role revokes all tokens of that second, those that are made after it too.
        """
        made: list[Any] = []

        def missing() -> str | None:
            from keystoneauth1.exceptions import Unauthorized
            from openstack.exceptions import HttpException

            try:
                if not made:
                    made.append(self._credential(user, self._login(user.name, password, project), role))
                self._request(self._of(made[0]))
            except Unauthorized as refusal:
                return str(refusal)
            except HttpException as refusal:
                if refusal.status_code != UNAUTHORIZED:
                    raise
                return str(refusal)
            return None

        wait_for(f"keystone's consent to the login of {user.name}", missing, 15, every=0.2)
        write_atomically(
            self.path(user.name),
            self._content(self._login(user.name, password, project), self._of(made[0])),
            mode=0o600,
        )

    def _credential(self, user: Any, login: Mapping[str, str], role: str) -> Any:
        identity = self._connection(login).identity
        for old in list(identity.application_credentials(user=user.id)):
            if old.name == CREDENTIAL:
                identity.delete_application_credential(user.id, old)
        made = identity.create_application_credential(
            user=user.id,
            name=CREDENTIAL,
            description=MADE,
            roles=[{"name": role}],
            unrestricted=False,
        )
        log.hide([made.secret])
        return made

    def _works(self, kept: Mapping[str, Any], project: Any, role: str) -> bool:
        """Whether the credential of a file opens this project with this role, as it should be made at present."""
        if kept.get("unrestricted", True):  # of a release before, or nothing was read
            return False
        access = self._access({name: kept[name] for name in OF_CREDENTIAL})
        if access is None:
            return False
        highest = next((name for name in reversed(ROLES) if name in access.role_names), None)
        return (access.project_id, highest) == (project.id, role)

    def _login(self, name: str, password: str, project: Any) -> dict[str, str]:
        return {"username": name, "password": password, "project_id": project.id, "user_domain_id": DOMAIN}

    def _of(self, credential: Any) -> dict[str, str]:
        return dict(zip(OF_CREDENTIAL, (credential.id, credential.secret), strict=True))

    def _access(self, auth: Mapping[str, str]) -> Any:
        """What a login gives; None when keystone refuses it."""
        from keystoneauth1.exceptions import NotFound, Unauthorized
        from keystoneauth1.session import Session

        plugin = self._plugin(auth)
        try:
            return plugin.get_access(Session(plugin))
        except (Unauthorized, NotFound):
            return None

    def _request(self, auth: Mapping[str, str]) -> None:
        """Ask for something that every token may have. Raises Unauthorized when the token is refused."""
        from keystoneauth1.session import Session

        Session(self._plugin(auth)).get(self.ctx.url("keystone", "/v3/auth/projects"))

    def _plugin(self, auth: Mapping[str, str]) -> Any:
        from keystoneauth1.identity.v3 import ApplicationCredential, Password

        kind: Any = Password if "password" in auth else ApplicationCredential
        return kind(self.ctx.url("keystone", "/v3"), **auth)

    def _connection(self, auth: Mapping[str, str]) -> Any:
        import openstack
        from keystoneauth1.session import Session

        session = Session(self._plugin(auth))
        return openstack.connection.Connection(session=session, region_name=self.ctx.cloud.region)

    def _content(self, login: Mapping[str, str], credential: Mapping[str, str]) -> str:
        common = {"region_name": self.ctx.cloud.region, "interface": "public", "identity_api_version": 3}
        where = {"auth_url": self.ctx.url("keystone", "/v3")}
        name = self.ctx.cloud.name
        clouds: dict[str, Any] = {
            name: {
                "auth_type": "v3applicationcredential",
                "auth": {**where, **{option: credential[option] for option in OF_CREDENTIAL}},
                **common,
            }
        }
        if "heat" in self.ctx.cloud.features:
            # A stack acts for its maker by a trust, which keystone gives to nobody who came by a credential.
            clouds[f"{name}-password"] = {"auth_type": "v3password", "auth": {**where, **login}, **common}
        about = {
            "dashboard": self.ctx.url("horizon", "/"),
            "domain": "Default",
            "user": login["username"],
            "password": login["password"],
        }
        text = json.dumps({"clouds": clouds}, indent=2)
        return f"{MARK} Of one person: keep it secret.\n# {json.dumps(about)}\n{text}\n"

    # -- what is handed over, and what goes -----------------------------------------------------------------

    def hand_over(self, name: str, place: Path) -> Path:
        """Write a person's clouds.yaml to a file, or into a folder: 0600, of who ran sudo. Raises RefusedError."""
        path = place / "clouds.yaml" if place.is_dir() else place
        with suppress(FileNotFoundError):
            if not path.read_text(errors="replace").startswith(MARK):
                raise RefusedError(
                    f"{path} was not written by Skerry.", remedy="Name another file with --out."
                )
        write_atomically(path, self.file_of(name).read_text(), mode=0o600)
        owner = [os.environ.get(variable, "") for variable in ("SUDO_UID", "SUDO_GID")]
        if all(each.isdigit() for each in owner):
            os.chown(path, *map(int, owner), follow_symlinks=False)
        return path

    def delete(self, name: str) -> str:
        """Remove a person's account and access data; returns the name of the project, which stays with what is in it.

        Raises NotFoundError, RefusedError.
        """
        identity, user = self.ctx.api.identity, self._user(name)
        had = self.path(name).exists()
        self.path(name).unlink(missing_ok=True)
        if user is None and not had:
            names = [person.name for person in self.all()]
            raise NotFoundError(
                f"There is nobody '{name}'.{did_you_mean(name, names)}",
                remedy=f"'skerry user list' shows: {', '.join(names) or 'nobody'}.",
            )
        if user is None:
            return ""
        project = identity.find_project(user.default_project_id) if user.default_project_id else None
        identity.delete_user(user)
        return str(project.name) if project is not None else ""


def quotas(words: Iterable[str]) -> dict[str, int]:
    """Quotas from words such as ``cores=4``. Raises UsageError."""
    known = [name for names in QUOTAS.values() for name in names]
    found = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in known:
            raise UsageError(
                f"There is no quota '{name}'.{did_you_mean(name, known)}",
                remedy=f"There are: {', '.join(known)}.",
            )
        if not text.removeprefix("-").isdigit() or int(text) < -1:
            raise UsageError(
                f"--quota {word}: '{text}' is not a number of them.",
                remedy=f"Such as {name}=4; -1: no limit.",
            )
        found[name] = int(text)
    return found


def render(people: Iterable[Person]) -> str:
    """A plain table."""
    rows = [("name", "project", "role", "clouds.yaml")]
    rows += [
        (one.name if one.enabled else f"{one.name} (disabled)", one.project, one.role, one.clouds_yaml or "-")
        for one in people
    ]
    if len(rows) == 1:
        return "Nobody but the cloud itself. 'skerry user create NAME' makes an account."
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[3]]) for row in rows
    )


def _read(path: Path) -> dict[str, Any]:
    """What a clouds.yaml of ours has of a person: the credential, the password that was given; nothing of a broken one."""
    try:
        lines = path.read_text().splitlines()
        about = json.loads(lines[1].removeprefix("# "))
        clouds = json.loads("\n".join(lines[2:]))["clouds"]
        auth = next(iter(clouds.values()))["auth"]
        found = {name: auth[name] for name in OF_CREDENTIAL}
        found |= {"password": about["password"], "unrestricted": about.get("unrestricted", False)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration):
        return {}
    log.hide([str(found["password"]), str(found["application_credential_secret"])])
    return found


def _drawn() -> str:
    value = secrets.token_urlsafe(15)
    log.hide([value])
    return value
