"""Databases and their accounts, through the private MariaDB's socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pymysql

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step, Unknown
from skerry.cloud.steps.once import Once
from skerry.common.errors import CommandError


def connect(ctx: Context, user: str = "root", password: str = "", database: str | None = None) -> Any:
    """A pymysql connection over the unix socket; root is let in by its user id alone.

    Raises pymysql.err.OperationalError when the server does not answer or refuses.
    """
    return pymysql.connect(
        unix_socket=str(ctx.layout.run / "mariadb/mysqld.sock"),
        user=user,
        password=password,
        database=database,
        connect_timeout=5,
        autocommit=True,
    )


class Databases(Step):
    """Every service's databases exist, and its account has the password that is in the secrets."""

    name = "databases"
    title = "databases and their accounts"
    cost = 0.5
    live = True

    def __init__(self, ctx: Context, wanted: dict[str, tuple[str, ...]], needs: tuple[str, ...]) -> None:
        self.ctx, self.wanted, self.needs = ctx, wanted, needs

    def check(self) -> list[Change]:
        changes = []
        try:
            with connect(self.ctx) as root, root.cursor() as cursor:
                cursor.execute("show databases")
                have = {row[0] for row in cursor.fetchall()}
        except pymysql.err.OperationalError as error:
            raise Unknown(f"MariaDB does not answer: {error.args[-1]}") from None
        for user, names in self.wanted.items():
            changes += [Change(f"create database {name}") for name in names if name not in have]
            try:
                connect(self.ctx, user, self.ctx.secrets[f"db-{user}"]).close()
            except pymysql.err.OperationalError:
                changes.append(Change(f"set the password of database account {user}"))
        return changes

    def apply(self, report: Callable[[str], None]) -> None:
        with connect(self.ctx) as root, root.cursor() as cursor:
            for user, names in self.wanted.items():
                password = self.ctx.secrets[f"db-{user}"]
                for host in ("localhost", "127.0.0.1"):
                    cursor.execute("create or replace user %s@%s identified by %s", (user, host, password))
                    for name in names:
                        cursor.execute(f"create database if not exists `{name}` character set utf8mb3")
                        cursor.execute(f"grant all privileges on `{name}`.* to %s@%s", (user, host))


class Schema(Once):
    """The tables of a service's ``databases``: made, and migrated for each new release, by the service's own program.

    MariaDB cannot take back half a migration. When the very first one was torn (the machine lost its power), there
    is nothing yet to lose, and it begins again with empty databases. A later one that fails is for the operator.
    """

    def __init__(
        self,
        ctx: Context,
        name: str,
        title: str,
        work: Callable[[Callable[[str], None]], None],
        databases: Sequence[str],
        of: object,
        needs: tuple[str, ...],
        cost: float,
    ) -> None:
        super().__init__(ctx, name, title, work, of=of, needs=needs, cost=cost, heavy=True)
        self.databases = databases

    def apply(self, report: Callable[[str], None]) -> None:
        journal = self.ctx.journal
        torn = journal.started(self.name) and journal.done(self.name) is None
        if self._are_empty():
            journal.begin(self.name)
        try:
            super().apply(report)
        except CommandError:
            if not torn:
                raise
            report("an earlier run was torn: again, with empty databases")
            self._empty()
            super().apply(report)

    def _are_empty(self) -> bool:
        with connect(self.ctx) as root, root.cursor() as cursor:
            cursor.execute(
                "select count(*) from information_schema.tables where table_schema in %s", [self.databases]
            )
            return not cursor.fetchone()[0]

    def _empty(self) -> None:
        with connect(self.ctx) as root, root.cursor() as cursor:
            for name in self.databases:
                cursor.execute(f"drop database if exists `{name}`")
                cursor.execute(f"create database `{name}` character set utf8mb3")
