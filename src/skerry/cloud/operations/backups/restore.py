"""The control plane of a backup on a bare machine: its files first, then 'up', which loads the records on its way."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Event, Graph
from skerry.cloud.model.layout import Layout
from skerry.cloud.operations.backups import archive
from skerry.cloud.operations.up import up
from skerry.cloud.platform.choice import platform_of
from skerry.cloud.steps.restored import FILES, JOURNAL
from skerry.common.errors import NotFoundError, RefusedError
from skerry.common.files import flush
from skerry.common.privilege import require_root


@dataclass(frozen=True)
class Restored:
    """What was restored, and from when it is."""

    cloud: str
    made: str
    servers: int
    seconds: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def render(self) -> str:
        return "\n".join(
            [
                f"The cloud '{self.cloud}' of {self.made} is up again, after {self.seconds:.0f} s.",
                f"{self.servers} servers are on record; their disks were not in the backup: what they were made of is."
                if self.servers
                else "No server is on record.",
            ]
        )


def restore(
    root: Path | str,
    source: Path,
    key: Path | None,
    report: Callable[[str], None],
    watch: Callable[[Event], None],
    begin: Callable[[Graph], None] = lambda graph: None,
) -> Restored:
    """Restore ``source`` under ``root``, where no cloud may be, with the ``key`` that it was made with.

    A run that broke continues when it is started again. Raises RefusedError, NotFoundError, BadArchiveError (nothing was
    changed then), and what ``up`` raises.
    """
    started = time.monotonic()
    require_root("'skerry restore' must be root.")
    layout = Layout.at(root)
    if not source.is_file():
        raise NotFoundError(
            f"There is no file {source}.", remedy="Name a file that 'skerry backup' has made."
        )
    waiting = layout.restoring
    if not waiting.exists():
        _refuse_where_a_cloud_is(layout)
        _unpack(layout, source, key or source.with_name("backup.key"), report)
    else:
        report("continue with what an earlier run has unpacked")
    about = json.loads((waiting / archive.MANIFEST).read_text())
    _place(layout)
    up(root, watch, first_server=False, begin=begin)
    ctx = Context.at(root)
    shutil.rmtree(waiting)
    servers = len(list(ctx.api.compute.servers(all_projects=True)))
    return Restored(about["cloud"], about["made"], servers, round(time.monotonic() - started, 1))


def _refuse_where_a_cloud_is(layout: Layout) -> None:
    for path in (layout.cloud_toml, layout.etc / "secrets.json", layout.state / "journal.json"):
        if path.exists():
            raise RefusedError(
                f"There is a cloud under {layout.root} ({path}): nothing was restored over it.",
                remedy="Restore on a bare machine, or under another --root; 'skerry destroy' removes a cloud.",
            )


def _unpack(layout: Layout, source: Path, key: Path, report: Callable[[str], None]) -> None:
    """Decrypt the whole file and compare it, before anything is put in its place."""
    if shutil.which("age") is None:
        report("install age, with which backups are encrypted")
        platform_of().packages.install(["age"], report)
    new = layout.restoring.with_name(f"{layout.restoring.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    layout.state.mkdir(parents=True, exist_ok=True)
    new.mkdir(mode=0o700)
    try:
        report("decrypt it and compare")
        about = archive.read(source, key, new)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    (new / archive.MANIFEST).write_text(json.dumps(about))
    flush(new)
    new.rename(layout.restoring)


def _place(layout: Layout) -> None:
    """Put configuration, secrets and what is known of the host where they belong; steps of 'up' place the rest."""
    files = layout.restoring / FILES
    etc = files / layout.etc.relative_to(layout.root)
    once = layout.restoring / "placed"
    if once.exists():
        return
    shutil.copytree(etc, layout.etc, dirs_exist_ok=True)
    for place in (layout.host_name, layout.hosts):
        kept = files / place.relative_to(layout.root)
        if kept.exists():
            shutil.copy(kept, place)
    shutil.copy(layout.restoring / JOURNAL, layout.state / "journal.json")
    flush(layout.etc)
    flush(layout.state)
    once.touch()
