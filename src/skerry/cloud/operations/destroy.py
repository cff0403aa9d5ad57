"""Removing a cloud: its services, its data, its traces on the machine, and the packages that came for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from skerry.cloud.components import registry
from skerry.cloud.components.libvirt.guests import remove_taps
from skerry.cloud.components.nova.disk_copies import DiskCopies
from skerry.cloud.context import Context
from skerry.cloud.engine.lock import exclusive
from skerry.cloud.operations.down import on_others, stop_guests, stop_services, undo_network
from skerry.cloud.steps.access.system_users import MadeUsers
from skerry.cloud.steps.access.system_users import remove as remove_users
from skerry.cloud.steps.credentials import Credentials
from skerry.cloud.steps.packages import Packages
from skerry.cloud.steps.reserve import free_when_full
from skerry.cloud.supervise.process_marks import other_clouds
from skerry.common import interrupt
from skerry.common.privilege import require_root


def what_goes(root: Path | str, packages: bool) -> list[str]:
    """What ``destroy`` would remove, in words."""
    ctx = Context.existing(root)
    lines = [f"{folder}" for folder in ctx.layout.folders() if folder.exists()]
    names = Packages(ctx, ()).added() if packages else []
    if names:
        lines.append(f"{len(names)} packages that were installed for it")
    if _is_machines_own(ctx):
        lines.append(f"the environment {ctx.layout.env.parent.parent}")
    return lines


def destroy(root: Path | str, report: Callable[[str], None], *, packages: bool) -> None:
    """Stop everything and remove it. What cannot be removed is reported, and the rest is removed; run it again."""
    ctx = Context.existing(root)
    require_root("'skerry destroy' must be root.")
    with interrupt.answered(report), exclusive(ctx.layout, "destroy"):
        if freed := free_when_full(ctx.layout):
            report(freed)
        others = other_clouds(ctx.layout)
        if others:
            report(f"what the cloud under {min(others)} needs stays: packages, environment, system users")
        keep = [] if packages else ["--keep-packages"]
        on_others(ctx, lambda host: ["destroy", "--yes", *(host.keep_packages or keep)], report)
        stop_guests(ctx, seconds=2)
        interrupt.check()
        remove_taps(ctx)
        stop_services(ctx, ctx.supervisor.forget)
        with interrupt.running("end the supervisor", 20):
            ctx.supervisor.end()
        report("services have stopped")
        undo_network(ctx, report)
        link = Credentials(ctx).link
        if link is not None and link.is_symlink() and link.resolve() == ctx.layout.clouds_yaml.resolve():
            link.unlink()
            if not any(link.parent.iterdir()):
                link.parent.rmdir()
        ctx.platform.remove(DiskCopies(ctx).client)
        made = [] if others else MadeUsers(ctx).names()
        if packages and not others and _is_machines_own(ctx):
            with interrupt.running("remove the packages", 60):
                ctx.platform.packages.remove(Packages(ctx, ()).added(), report)
        interrupt.check()
        if _is_machines_own(ctx):
            _remove_mount_points(ctx)
        left = "nothing is left"
        stay = [
            f"{name} ({why}): '{ctx.platform.users.remove_command(name)}' removes it"
            for name, why in remove_users(ctx, made).items()
        ]
        if stay:
            left = f"all is gone but {', '.join(stay)}"
        queues = [] if others else Path("/dev/shm").glob(f"{ctx.host.name}_*_qmanager")
        with interrupt.running("remove the folders", 30):
            for folder in (*ctx.layout.folders(), *queues):
                ctx.platform.remove(folder)
        if _is_machines_own(ctx) and packages and not others:
            home = ctx.layout.env.parent.parent
            if (home / "env").is_dir() and (home / "uv").is_dir():
                ctx.platform.remove(home)
        report(left)


def _remove_mount_points(ctx: Context) -> None:
    """Remove the empty folders that were made for services to have folders of ours mounted there."""
    for component in registry.components():
        if not any(ctx.does(role) for role in component.roles):
            continue
        for service in component(ctx).services():
            for _, target in service.binds:
                with suppress(OSError):  # it has something in it, and so is not ours
                    target.rmdir()


def _is_machines_own(ctx: Context) -> bool:
    return ctx.layout.root == Path("/")
