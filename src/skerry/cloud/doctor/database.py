"""The database: answers, lets every service in, and has connections left."""

from __future__ import annotations

from collections.abc import Iterable

import pymysql

from skerry.cloud.components import registry
from skerry.cloud.doctor.base import Check, Finding, Patient
from skerry.cloud.steps.database import connect

BUSY = 0.85  # share of the connections from which on it is reported


class DatabaseConnections(Check):
    """The database answers and has connections left."""

    name = "database-connections"
    message = "Without the database no API answers."
    needs = ("mariadb",)

    def findings(self, patient: Patient) -> Iterable[Finding]:
        try:
            with connect(patient.ctx) as root, root.cursor() as cursor:
                cursor.execute(
                    "show global status where variable_name in ('Threads_connected', 'Max_used_connections')"
                )
                status = {name: int(value) for name, value in cursor.fetchall()}
                cursor.execute("select @@max_connections")
                limit = int(cursor.fetchone()[0])
                cursor.execute("select user, count(*) from information_schema.processlist group by user")
                users = {str(user): int(count) for user, count in cursor.fetchall()}
        except pymysql.err.OperationalError as error:
            yield Finding(
                "error",
                "MariaDB does not take a connection",
                (str(error.args[-1]),),
                "Look at 'skerry logs mariadb'; if connections are out, restart the service that holds most.",
            )
            return
        yield from connections(status["Threads_connected"], status["Max_used_connections"], limit, users)


def connections(now: int, most: int, limit: int, users: dict[str, int]) -> Iterable[Finding]:
    """Findings about the number of connections; ``users`` has how many each account holds."""
    holders = ", ".join(
        f"{user} {count}" for user, count in sorted(users.items(), key=lambda item: -item[1])[:4]
    )
    if now >= BUSY * limit:
        remedy = "Lower [database] max_overflow in 50-site.conf of the service that holds most; 'skerry up'."
        yield Finding(
            "error", f"{now} of MariaDB's {limit} connections are in use", (f"held by: {holders}",), remedy
        )
    elif most >= limit:
        yield Finding(
            "warning", f"MariaDB has run out of its {limit} connections before", (f"now {now}: {holders}",)
        )


class DatabaseAccounts(Check):
    """Every service's account is let in with the password that is in the secrets."""

    name = "database-accounts"
    message = "A service cannot log in to its database."
    remedy = "'skerry up' sets the password again."
    needs = ("mariadb",)

    def findings(self, patient: Patient) -> Iterable[Finding]:
        for component in registry.in_cloud(patient.ctx):
            for user, names in component.databases.items():
                for name in names:
                    try:
                        connect(patient.ctx, user, patient.ctx.secrets[f"db-{user}"], name).close()
                    except pymysql.err.OperationalError as error:
                        yield Finding("error", f"{user} cannot open database {name}", (str(error.args[-1]),))
                        break
