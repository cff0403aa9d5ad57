"""The machine itself: the folders, compiled modules, libvirt's Python binding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.cloud.model.users import COMPUTE, FORMER, GROUP
from skerry.cloud.supervise.service import Folder
from skerry.common.files import flush

SETGID = 0o2000


class MachineSetup(Step):
    """The cloud's folders exist, each with the owner and for the group that it should have, and the secrets are drawn."""

    name = "machine"
    title = "folders and secrets"
    needs = ("users",)
    cost = 0.2

    def __init__(self, ctx: Context, folders: Sequence[Folder]) -> None:
        self.ctx = ctx
        layout = ctx.layout
        # Only the services get into the cloud's own folders, and into that of logs only root; cloud.toml is for all to see.
        own = [Folder(path, group=GROUP) for path in (layout.state, layout.run, layout.cache)]
        own += [Folder(layout.etc, mode=0o755), Folder(layout.log)]
        every = {folder.path: folder for folder in (*own, *folders)}
        self.folders = sorted(every.values(), key=lambda folder: len(folder.path.parts))

    def check(self) -> list[Change]:
        platform = self.ctx.platform
        changes = []
        for folder in self.folders:
            mode = platform.mode(folder.path)
            if mode is None:
                changes.append(Change(f"create {folder.path}"))
                continue
            if (owner := platform.owner(folder.path)) != folder.owners:
                changes.append(Change(f"owner of {folder.path}", owner, folder.owners))
            if mode != folder.mode:
                changes.append(Change(f"mode of {folder.path}", f"{mode:o}", f"{folder.mode:o}"))
        if self._kept_name() is None:
            changes.append(Change(f"note that the host is called {self.ctx.cloud.leader.name}"))
        if not self.ctx.secrets.saved:
            changes.append(Change(f"draw secrets into {self.ctx.secrets.path}"))
        return changes

    def apply(self, report: Callable[[str], None]) -> None:
        platform = self.ctx.platform
        whole = [folder for folder in self.folders if self._changes_hands(folder)]
        for folder in self.folders:
            platform.make_folder(folder.path, mode=folder.mode, owner=folder.owners)
        for folder in whole:  # those further down come later, and are what is right in the end
            report(f"{folder.path} is {folder.owner}'s now")
            platform.run(["chown", "-R", "--no-dereference", folder.owners, str(folder.path)], timeout=900)
            if folder.mode & SETGID:
                platform.run(["find", str(folder.path), "-type", "d", "-exec", "chmod", "g+s", "{}", "+"])
        if whole:
            # The queues' counters of the user that the services ran as: no other may write them.
            for path in Path("/dev/shm").glob(f"{self.ctx.host.name}_*_qmanager"):
                platform.remove(path)
            for folder in self.folders:
                platform.make_folder(folder.path, mode=folder.mode, owner=folder.owners)
        if self._kept_name() is None:
            platform.write(self.ctx.layout.host_name, f"{self.ctx.cloud.leader.name}\n")
        if not self.ctx.secrets.saved:
            self.ctx.secrets.save()

    def _kept_name(self) -> str | None:
        return self.ctx.platform.read(self.ctx.layout.host_name)

    def _changes_hands(self, folder: Folder) -> bool:
        """Whether it is of the time when one user ran all services."""
        return (self.ctx.platform.owner(folder.path) or "").partition(":")[0] == FORMER


class Login(Step):
    """nova-compute's user may be logged in as, by key: hosts copy disks to each other as this user."""

    name = "login"
    title = "the shell of nova-compute's user"
    needs = ("machine",)
    cost = 0.1
    SHELL = "/bin/sh"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def check(self) -> list[Change]:
        shell = self.ctx.platform.users.shell(COMPUTE)
        return [] if shell == self.SHELL else [Change(f"shell of {COMPUTE}", shell, self.SHELL)]

    def apply(self, report: Callable[[str], None]) -> None:
        self.ctx.platform.users.allow_login(COMPUTE, self.SHELL)


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
        flush(self.ctx.layout.env)
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
