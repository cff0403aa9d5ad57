"""A backup of the control plane, made while it runs: one encrypted file with its records, keys and configuration.

It holds databases (one consistent snapshot of all), OVN's northbound database, keys, secrets and configuration, and the
images if they are asked for. Servers' disks are not in it.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skerry.cloud.components import registry
from skerry.cloud.context import Context
from skerry.cloud.engine.lock import exclusive
from skerry.cloud.operations.backups import archive
from skerry.cloud.steps.restored import FILES, JOURNAL, NORTHBOUND, SQL
from skerry.common.errors import NotFoundError, PreflightError
from skerry.common.files import write_atomically
from skerry.common.privilege import require_root

CONFIGURATION = (
    "cloud.toml",
    "secrets.json",
    "backup.key",
    "id_ed25519",
    "id_ed25519.pub",
    "tls",
)  # 'up' makes the rest
KEPT_STEPS = ("first-server",)  # what must not be done again on the machine that it is restored on


@dataclass(frozen=True)
class Backup:
    """A backup that was made. ``verified``: it was read again and compared, for which its key must be here."""

    file: str
    key: str | None
    bytes: int
    members: int
    verified: bool
    seconds: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def render(self) -> str:
        checked = "read again and compared" if self.verified else "not read again: its key is not here"
        lines = [
            f"{self.file}: {self.bytes / 2**20:.1f} MiB, {self.members} files, {self.seconds:.0f} s; {checked}."
        ]
        if self.key:
            lines.append(
                f"Keep a copy of its key {self.key} away from this machine: without it nobody can read the backup."
            )
        return "\n".join(lines)


def backup(
    root: Path | str,
    target: Path,
    report: Callable[[str], None],
    *,
    images: bool = False,
    recipient: str | None = None,
) -> Backup:
    """Back the control plane of the cloud under ``root`` up into ``target``, encrypted for ``recipient`` of age.

    Without one a key is made once, etc/skerry/backup.key. Raises PreflightError, BusyError, NotFoundError, CommandError.
    """
    started = time.monotonic()
    require_root("'skerry backup' must be root.")
    ctx = Context.at(root)
    if not ctx.layout.cloud_toml.exists():
        raise NotFoundError(
            f"There is no cloud under {ctx.layout.root}.", remedy="Bring one up: sudo ./skerry up"
        )
    if not ctx.leads or not ctx.supervisor.running():
        raise PreflightError(
            "A backup is made on the control host of a cloud that is up.",
            remedy="Run 'skerry up' there first.",
        )
    target = target.absolute()
    key = None if recipient else _key(ctx)
    with (
        exclusive(ctx.layout, "backup"),
        tempfile.TemporaryDirectory(prefix="backup-", dir=ctx.layout.state) as scratch,
    ):
        members = _members(ctx, Path(scratch), report, images=images)
        report(f"write {target}")
        archive.write(target, members, _about(ctx), recipient or archive.Key(_key(ctx)).recipient)
    if key is not None:
        report("read it again and compare")
        archive.read(target, key, None)
    return Backup(
        str(target),
        str(key) if key else None,
        target.stat().st_size,
        len(members),
        key is not None,
        round(time.monotonic() - started, 1),
    )


def _key(ctx: Context) -> Path:
    """The cloud's own key for backups, which is made the first time."""
    path = ctx.layout.etc / "backup.key"
    if not path.exists():
        write_atomically(path, ctx.platform.run(["age-keygen"]).stdout, mode=0o600)
    return path


def _about(ctx: Context) -> dict[str, Any]:
    return {
        "format": 1,
        "cloud": ctx.cloud.name,
        "host": ctx.cloud.leader.name,
        "environment": ctx.layout.env.name,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _members(ctx: Context, scratch: Path, report: Callable[[str], None], *, images: bool) -> dict[str, Path]:
    """The members of the archive: the records into ``scratch``, everything else where it is."""
    layout = ctx.layout
    sql, northbound, journal = (scratch / name for name in (SQL, NORTHBOUND, JOURNAL))
    report("databases")
    names = [name for part in registry.in_cloud(ctx) for of in part.databases.values() for name in of]
    ctx.platform.run(
        [
            *("mariadb-dump", "--no-defaults", f"--socket={layout.run}/mariadb/mysqld.sock", "--user=root"),
            *("--single-transaction", "--hex-blob", f"--result-file={sql}", "--databases", *names),
        ],
        timeout=600,
    )
    report("OVN's northbound database")
    socket = f"unix:{layout.run}/ovn/ovn.sock"
    told = ctx.platform.run(["ovsdb-client", "--timeout=60", "backup", socket, "OVN_Northbound"])
    northbound.write_text(told.stdout)
    done = {step: mark for step in KEPT_STEPS if (mark := ctx.journal.done(step)) is not None}
    journal.write_text(json.dumps({"done": done}))
    members = {SQL: sql, NORTHBOUND: northbound, JOURNAL: journal}
    kept = [layout.host_name, layout.hosts]
    parts = [part(ctx) for part in registry.in_cloud(ctx)]
    kept += [path for part in parts for path in part.irreplaceable()]
    kept += [path for part in parts for path in part.bulk()] if images else []
    kept += [layout.etc / name for part in parts for name in part.site_files()]
    for path in [*(layout.etc / name for name in CONFIGURATION), *kept]:
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and not file.is_symlink():
                members[f"{FILES}/{file.relative_to(layout.root)}"] = file
    return members
