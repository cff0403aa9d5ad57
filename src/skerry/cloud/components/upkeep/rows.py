"""Rows that services have marked as deleted, and keep: after a time they are removed, by the services' own programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from skerry.cloud.context import Context
from skerry.cloud.engine.upkeep import UpkeepTask
from skerry.cloud.steps.database import connect
from skerry.cloud.steps.manage import apart
from skerry.common.errors import CommandError
from skerry.common.proc import last_lines

# After a deleted image's row is gone, anybody may make an image with its id; servers of it would be rebuilt from that
# one (OSSN-0075). As long as upstream keeps them.
IMAGE_DAYS = 180
DELETED = ("deleted_at",)
NOTHING_PURGED = 3  # exit status of 'nova-manage db purge'
TIMEOUT = 3600.0  # seconds


def task(
    ctx: Context,
    name: str,
    title: str,
    databases: Collection[str],
    work: Callable[[int], object],
    *,
    besides: str = "",
    columns: Collection[str] = DELETED,
) -> UpkeepTask:
    """Remove rows by ``work``, which gets the number of days that deleted ones are kept.

    It only runs when ``databases`` have such rows: services' programs take seconds to start. Their age is in one of
    ``columns``; the table ``besides`` does not count.
    """
    days = ctx.cloud.upkeep.deleted_days

    def purge() -> str:
        before = count(ctx, databases, days, besides, columns)
        if not before:
            return ""
        work(days)
        removed = before - count(ctx, databases, days, besides, columns)
        return f"removed {removed} rows" if removed > 0 else ""

    return UpkeepTask(name, title, purge, needs=("mariadb",))


def count(
    ctx: Context,
    databases: Collection[str],
    days: int,
    besides: str = "",
    columns: Collection[str] = DELETED,
) -> int:
    """How many rows of all tables but ``besides`` have a time in one of ``columns`` that is longer ago than ``days``."""
    with connect(ctx) as root, root.cursor() as cursor:
        cursor.execute(
            "select table_schema, table_name, column_name from information_schema.columns"
            " where data_type = 'datetime' and table_schema in %s and column_name in %s and table_name <> %s",
            (tuple(databases), tuple(columns), besides),
        )
        tables: dict[str, list[str]] = {}
        for database, table, column in cursor.fetchall():
            tables.setdefault(f"`{database}`.`{table}`", []).append(
                f"`{column}` < utc_timestamp() - interval {int(days)} day"
            )
        total = 0
        for table, old in tables.items():
            cursor.execute(f"select count(*) from {table} where {' or '.join(old)}")
            total += cursor.fetchone()[0]
        return total


def day(days: int) -> str:
    """The day that was ``days`` ago, as keystone-manage takes it."""
    return time.strftime("%d-%m-%Y", time.gmtime(time.time() - days * 86400))


def purge_nova(ctx: Context, options: Sequence[str], days: int) -> None:
    """Move nova's rows to its shadow tables, then remove them there. Raises CommandError."""
    before = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - days * 86400))
    program = [*apart(ctx, "nova-manage"), ctx.layout.bin("nova-manage"), *options, "db"]
    where = ["--before", before, "--all-cells", "--verbose"]
    archive = ["archive_deleted_rows", "--until-complete", "--max_rows", "1000", *where]
    for words, good in ((archive, (0, 1)), (["purge", *where], (0, NOTHING_PURGED))):
        done = ctx.platform.run([*program, *words], check=False, timeout=TIMEOUT)
        if done.returncode not in good:
            said = last_lines(done.stdout, 1) or last_lines(done.stderr, 1)  # it prints its tracebacks
            raise CommandError(f"nova-manage db {words[0]}", f"exit status {done.returncode}", said)
