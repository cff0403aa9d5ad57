"""New passwords and keys for a running cloud, brought to everything that uses them.

A new value is saved, with the old one beside it, before anything gets it; converging brings it to the
database, the broker, keystone and the services' files; then each new value is tried, and each old one must be
refused. Only after that the old ones are forgotten. A run that breaks continues when it is started again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pymysql

from skerry.cloud.components import registry
from skerry.cloud.components.keystone import Keystone
from skerry.cloud.components.rabbitmq import RabbitMQ, login_problem
from skerry.cloud.context import Context
from skerry.cloud.engine.lock import exclusive
from skerry.cloud.engine.step import Event, Graph
from skerry.cloud.model.secrets import unknown_secret
from skerry.cloud.operations.up import converge
from skerry.cloud.steps.database import connect
from skerry.cloud.steps.manage import manage
from skerry.common.errors import NotFoundError, PreflightError, StepError

FERNET = "fernet"  # keystone's token keys: a folder of their own, rotated by keystone-manage


def rotatable() -> tuple[str, ...]:
    """The names of what can be rotated."""
    return (*(secret.name for secret in registry.secrets().values() if not secret.fixed), FERNET)


@dataclass(frozen=True)
class Rotation:
    """What was done. ``proven`` are secrets of which the new value was tried and the old one refused."""

    rotated: list[str]
    proven: list[str]
    steps: list[str]
    seconds: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def render(self) -> str:
        restarted = sum(step.startswith("start:") for step in self.steps)
        lines = [
            f"{', '.join(self.rotated)}: new, after {self.seconds:.0f} s; {restarted} services restarted."
        ]
        if self.proven:
            lines.append(
                f"Tried: the new value is taken and the old one refused for {', '.join(self.proven)}."
            )
        return "\n".join(lines)


def rotate(
    root: Path | str,
    names: Iterable[str],
    report: Callable[[str], None],
    watch: Callable[[Event], None],
    begin: Callable[[Graph], None] = lambda graph: None,
) -> Rotation:
    """Draw new values for ``names`` and bring them, and those of a rotation that broke, to the whole cloud.

    Raises NotFoundError for an unknown name or when there is nothing to do, PreflightError when the cloud is
    down, StepError when a new value is not taken or an old one still is, and what ``up`` raises.
    """
    started = time.monotonic()
    names = list(dict.fromkeys(names))
    for name in names:
        if name not in rotatable():
            raise unknown_secret(name, rotatable())
    ctx = Context.existing(root)
    with exclusive(ctx.layout, "secrets rotate"):
        ctx = Context.at(root)
        if not names and not ctx.secrets.previous:
            raise NotFoundError("Which secret?", remedy=f"Name some, or use --all: {', '.join(rotatable())}.")
        if not ctx.supervisor.running():
            raise PreflightError(
                "The cloud is down: its passwords cannot be changed now.", remedy="Run 'skerry up'."
            )
        if ctx.secrets.previous:
            report(
                f"continuing with {', '.join(sorted(ctx.secrets.previous))}, which an earlier rotation started"
            )
        ctx.secrets.rotate(name for name in names if name != FERNET)
        rotated = sorted(ctx.secrets.previous)
        if rotated:
            report(
                f"{len(rotated)} new values are saved; the old ones are kept until all services have the new"
            )
        if FERNET in names:
            rotate_fernet(ctx)
            rotated.append(FERNET)
            report("keystone has a new key for tokens; those of before are valid until they expire")
        _tell_broker(ctx)
    steps: list[str] = []

    def record(event: Event) -> None:
        if event.kind == "done":
            steps.append(event.step.name)
        watch(event)

    if ctx.secrets.previous:
        converge(root, record, install=False, first_server=False, begin=begin)
    proven = prove(ctx)
    with exclusive(ctx.layout, "secrets rotate"):
        ctx.secrets.settle()
    return Rotation(rotated, proven, steps, round(time.monotonic() - started, 1))


def rotate_fernet(ctx: Context) -> None:
    """A new primary key for tokens. With keystone's three keys, tokens of two rotations ago are refused."""
    keystone = Keystone(ctx)
    rotation = ["fernet_rotate", *keystone.key_owner]
    manage(ctx, "keystone.cmd.manage:main", "keystone-manage", keystone.config_arguments(), [rotation])


def _tell_broker(ctx: Context) -> None:
    """Change the broker's password before its clients restart; a new cookie counts from its next start."""
    environment = RabbitMQ(ctx).environment()
    if "rabbitmq" in ctx.secrets.previous:
        password = ctx.secrets["rabbitmq"]
        try:
            refused = login_problem(password) is not None
        except OSError:
            refused = False  # it does not run: at its start it reads the new password from its definitions
        if refused:
            change = [ctx.platform.program("rabbitmqctl"), "-q", "change_password", "openstack"]
            ctx.platform.run(change, env=environment, input=f"{password}\n", timeout=60)
    if "erlang-cookie" in ctx.secrets.previous:
        ctx.supervisor.stop("rabbitmq")


def prove(ctx: Context) -> list[str]:
    """Try every new value where it opens something, and the old one too; returns the names that were tried.

    Raises StepError for the first that is not as it should be.
    """
    proven = []
    for name, old in sorted(ctx.secrets.previous.items()):
        attempt = _attempts(ctx).get(name)
        if attempt is None:
            continue
        missing = attempt(ctx.secrets[name])
        if missing is not None:
            raise StepError(
                "secrets rotate", f"the new value of {name} is not taken: {missing}", remedy=_AGAIN
            )
        if attempt(old) is None:
            raise StepError("secrets rotate", f"the old value of {name} still opens the door", remedy=_AGAIN)
        proven.append(name)
    return proven


_AGAIN = "Run 'skerry secrets rotate' again: it continues from here. 'skerry doctor' may know more."


def _attempts(ctx: Context) -> dict[str, Callable[[str], str | None]]:
    """For each secret that opens something in this cloud: a function that returns why a value does not."""

    def database(user: str) -> Callable[[str], str | None]:
        def attempt(password: str) -> str | None:
            try:
                connect(ctx, user, password).close()
            except pymysql.err.OperationalError as error:
                return str(error.args[-1])
            return None

        return attempt

    def keystone(user: str, project: str) -> Callable[[str], str | None]:
        return lambda password: _login_problem(ctx, user, password, project)

    users = [component.name for component in registry.in_cloud(ctx) if component.account]
    return {
        **{
            f"db-{user}": database(user)
            for component in registry.in_cloud(ctx)
            for user in component.databases
        },
        **{f"service-{user}": keystone(user, "service") for user in users},
        "admin": keystone("admin", "admin"),
        "rabbitmq": login_problem,
    }


def _login_problem(ctx: Context, user: str, password: str, project: str) -> str | None:
    from keystoneauth1.exceptions import ClientException
    from keystoneauth1.identity.v3 import Password
    from keystoneauth1.session import Session

    auth = Password(
        ctx.url("keystone", "/v3"),
        username=user,
        password=password,
        project_name=project,
        user_domain_id="default",
        project_domain_id="default",
    )
    try:
        auth.get_access(Session(auth))
    except ClientException as error:
        return str(error)
    return None
