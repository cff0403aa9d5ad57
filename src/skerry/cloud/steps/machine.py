"""The machine itself: the service user, the folders, compiled modules, libvirt's Python binding."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.cloud.model.layout import Layout
from skerry.cloud.platform.base import Platform
from skerry.cloud.supervise.service import SERVICE_USER

ROOTS_FOLDERS = ("etc", "state", "log", "run", "cache")


class MachineSetup(Step):
    """The service user exists, so do the cloud's folders, and the secrets are drawn."""

    name = "machine"
    title = "service user, folders, secrets"
    cost = 0.2

    def __init__(self, ctx: Context, folders: Mapping[Path, str]) -> None:
        self.ctx = ctx
        own = {folder: "root" for folder in ctx.layout.folders()}
        self.folders = own | dict(folders)

    def check(self) -> list[Change]:
        changes = []
        has_user = self.ctx.platform.users.exists(SERVICE_USER)
        if not has_user:
            changes.append(Change(f"create system user {SERVICE_USER}"))
        changes += [Change(f"make folder {path}") for path in self.folders if not path.is_dir()]
        if has_user:
            changes += [
                Change(f"owner of {path}", path.owner(), owner)
                for path, owner in self.folders.items()
                if path.is_dir() and path.owner() != owner
            ]
        changes += [
            Change(f"mode of {path}", f"{path.stat().st_mode & 0o777:o}", f"{self._mode(path):o}")
            for path in self.folders
            if path.is_dir() and path.stat().st_mode & 0o777 & ~self._mode(path)
        ]
        if self._kept_name() is None:
            changes.append(Change(f"note that the host is called {self.ctx.cloud.leader.name}"))
        if not self.ctx.secrets.saved:
            changes.append(Change(f"draw secrets into {self.ctx.secrets.path}"))
        return changes

    def _mode(self, path: Path) -> int:
        """The services' user gets into each folder; of the cloud's own, only logs are not for everybody's eyes."""
        layout = self.ctx.layout
        return 0o755 if path in layout.folders() and path != layout.log else 0o750

    def apply(self, report: Callable[[str], None]) -> None:
        if not self.ctx.platform.users.exists(SERVICE_USER):
            make_user(self.ctx.platform, self.ctx.layout)
        for path, owner in self.folders.items():
            mode = self._mode(path)
            self.ctx.platform.make_folder(path, mode=mode, owner=owner)
            if owner == "root" and mode == 0o750 and path != self.ctx.layout.log:
                shutil.chown(path, "root", SERVICE_USER)
        if self._kept_name() is None:
            self.ctx.platform.write(self.ctx.layout.host_name, f"{self.ctx.cloud.leader.name}\n")
        if not self.ctx.secrets.saved:
            self.ctx.secrets.save()

    def _kept_name(self) -> str | None:
        return self.ctx.platform.read(self.ctx.layout.host_name)


def make_user(platform: Platform, layout: Layout) -> None:
    """Make the service user on a host; first a note that it is made for the cloud, and may be removed with it."""
    platform.write(layout.state / "made-user", "")
    platform.users.make(SERVICE_USER)


class Login(Step):
    """The service user may be logged in as, by key: hosts copy disks to each other as this user."""

    name = "login"
    title = "the service user's shell"
    needs = ("machine",)
    cost = 0.1
    SHELL = "/bin/sh"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def check(self) -> list[Change]:
        shell = self.ctx.platform.users.shell(SERVICE_USER)
        return [] if shell == self.SHELL else [Change(f"shell of {SERVICE_USER}", shell, self.SHELL)]

    def apply(self, report: Callable[[str], None]) -> None:
        self.ctx.platform.users.allow_login(SERVICE_USER, self.SHELL)


class Bytecode(Step):
    """Every module of the locked environment is compiled: unprivileged services could not do it themselves."""

    name = "bytecode"
    title = "compile the services"
    cost = 12.0
    heavy = True
    SKIPPED = r"/(tests?|testing|functional|locale|doc|migrations_testing|site-packages/(mypy|ruff|selenium|hypothesis))/"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self._mark = ctx.layout.env / ".compiled"

    def check(self) -> list[Change]:
        return [] if self._mark.exists() else [Change("compile the services' modules")]

    def apply(self, report: Callable[[str], None]) -> None:
        argv = [self.ctx.layout.bin("python"), "-m", "compileall", "-q", "-j", "2", "-x", self.SKIPPED]
        # A few packages carry templates that are not Python: their failure is none of ours.
        self.ctx.platform.run([*argv, str(self.ctx.layout.site_packages)], timeout=600, check=False)
        self._mark.touch()


class LibvirtBinding(Step):
    """libvirt's Python binding is the operating system's, linked into the environment: it fits the installed libvirt."""

    name = "libvirt-binding"
    title = "libvirt's Python binding"
    needs = ("packages",)
    cost = 0.1

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def _links(self) -> dict[Path, Path]:
        source = self.ctx.platform.python_packages
        files = [path for path in source.glob("libvirt*") if path.suffix in (".py", ".so")]
        return {self.ctx.layout.site_packages / path.name: path for path in files}

    def check(self) -> list[Change]:
        links = self._links()
        if not links:
            return [Change("link libvirt's Python binding into the environment")]
        return [
            Change(f"link {link.name}") for link, path in links.items() if link.resolve() != path.resolve()
        ]

    def apply(self, report: Callable[[str], None]) -> None:
        for link, path in self._links().items():
            link.unlink(missing_ok=True)
            link.symlink_to(path)
