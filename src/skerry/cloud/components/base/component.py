"""A component: what a host runs for one part of the cloud, as files, services and steps.

A component declares what others need to know of it, and the registry collects that: its feature, the roles of hosts
that run it, packages, databases, ports, endpoints, account, secrets, upstream's tests, its page in the dashboard.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from skerry.cloud.config import ini
from skerry.cloud.config.option_source import OptionSource
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Step
from skerry.cloud.engine.upkeep import UpkeepTask
from skerry.cloud.model.catalogue import Endpoint
from skerry.cloud.model.cloud_toml import Role
from skerry.cloud.model.ports import Port
from skerry.cloud.model.secrets import Secret
from skerry.cloud.model.users import theme
from skerry.cloud.steps.access.loopback import LoopbackRules
from skerry.cloud.steps.files import Files
from skerry.cloud.steps.services import ServiceStep
from skerry.cloud.supervise.service import File, Folder, Service


class Component(ABC):
    """One part of the cloud. The base class turns ``files`` and ``services`` into steps."""

    name: str
    title: str
    user: str  # whom its services run as, and whose its secret files are (model/users.py)
    feature: str = ""  # its name in 'up --with'; empty: every cloud has it
    roles: tuple[Role, ...] = ("control",)  # a host with one of these runs it
    packages: tuple[str, ...] = ()  # of the operating system, by Debian's names (platform/base.py)
    databases: Mapping[str, tuple[str, ...]] = {}  # account -> databases; the account's secret is db-ACCOUNT
    ports: tuple[Port, ...] = ()  # where its services listen themselves
    apis: tuple[Port, ...] = ()  # HAProxy listens there for its APIs; a port has the name of its service
    endpoints: tuple[Endpoint, ...] = ()  # in keystone's catalogue
    account: bool = False  # an account NAME in keystone, with the secret service-NAME
    shares_account: bool = False  # hosts without the control plane log in with it too
    secrets: tuple[Secret, ...] = ()  # besides those of its databases and its account
    caches: bool = False  # its services keep something in memcached
    tests: str = ""  # its name among tempest's available services; empty: tempest has no tests of it
    options: OptionSource | None = (
        None  # where its options are listed, for those that read oslo.config's files
    )
    panel: str = ""  # the page of the dashboard that shows it, below the dashboard's address

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    # -- what it declares ---------------------------------------------------------------------------------

    @classmethod
    def runs_on(cls, ctx: Context) -> bool:
        """Whether the host of ``ctx`` runs it."""
        return cls.feature in ("", *ctx.cloud.features) and any(ctx.does(role) for role in cls.roles)

    @classmethod
    def all_secrets(cls) -> tuple[Secret, ...]:
        """Its secrets, those of its databases and its account among them."""
        databases = (Secret(f"db-{account}") for account in cls.databases)
        account = (Secret(f"service-{cls.name}", on_hosts=cls.shares_account),) if cls.account else ()
        return (*cls.secrets, *databases, *account)

    @classmethod
    def site_files(cls) -> tuple[str, ...]:
        """The operator's own files, which every host that runs it has; paths below the cloud's etc."""
        return ()

    def users(self) -> tuple[str, ...]:
        """The system users that this host must have for it."""
        return (self.user,)

    def tests_settings(self) -> ini.Sections:
        """Sections of tempest.conf that its tests need."""
        return {}

    @property
    def cache_socket(self) -> Path:
        """Where the memcached of its user listens."""
        return self.ctx.layout.cache_socket(theme(self.user))

    @property
    def cache_step(self) -> str:
        """The step that starts the memcached of its user."""
        return f"start:memcached-{theme(self.user)}"

    # -- what it consists of ------------------------------------------------------------------------------

    def folders(self) -> list[Folder]:
        """Folders to make."""
        return []

    def irreplaceable(self) -> dict[Path, str]:
        """Files and folders that a backup must have, besides databases and configuration, with their owner."""
        return {}

    def bulk(self) -> dict[Path, str]:
        """What a backup has if that is asked for: it is large."""
        return {}

    def upkeep(self) -> list[UpkeepTask]:
        """What is to be done each day on this host, so that it lasts."""
        return []

    def files(self) -> list[File]:
        return []

    def services(self) -> list[Service]:
        return []

    def work(self) -> list[Step]:
        """Steps besides the files and the services."""
        return []

    configure_needs: tuple[str, ...] = ("machine",)

    def every_file(self) -> list[File]:
        """The component's files and those of its services, each once. A secret one without an owner is its user's."""
        found = [*self.files(), *(file for service in self.services() for file in service.files)]
        return [
            replace(file, owner=file.owner or self.user) if file.secret else file
            for file in {file.path: file for file in found}.values()
        ]

    def service(self, name: str) -> Service:
        return next(service for service in self.services() if service.name == name)

    def steps(self) -> list[Step]:
        steps: list[Step] = [*self.work()]
        configured: tuple[str, ...] = ()
        if self.every_file():
            configured = (f"configure:{self.name}",)
            title = f"configuration of {self.title}"
            steps.append(Files(self.ctx, configured[0], title, self.every_file, self.configure_needs))
        for service in self.services():
            needs = ("supervisor", LoopbackRules.name, *configured, *service.after)
            steps.append(ServiceStep(self.ctx, service, needs, partial(self.service, service.name)))
        return steps
