"""MariaDB: the database, as a private instance."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components.base.component import Component
from skerry.cloud.engine.step import Step
from skerry.cloud.model.ports import Port
from skerry.cloud.model.users import DATABASE, IDENTITY, IMAGE, KEYS, NETWORK, SERVERS, STACKS
from skerry.cloud.steps.once import Once
from skerry.cloud.supervise.probes import UnixProbe
from skerry.cloud.supervise.service import OOM_PROTECTED, File, Folder, Service

# Where releases of MariaDB differ, as 10.11 (Debian 12) has it, which upstream's services are tested with. 11.8 (Debian 13)
# ends a transaction that changes a row which another has changed since it began (error 1020); services repeat what ran
# into a deadlock, and not that. ``loose``: a server that does not know an option warns, and starts.
ALIKE = {
    "loose_innodb_snapshot_isolation": "off",
    "collation_server": "utf8mb3_general_ci",
    "loose_character_set_collations": "utf8mb3=utf8mb3_general_ci",
}


class MariaDB(Component):
    name = "mariadb"
    title = "the database (MariaDB)"
    user = DATABASE
    packages = (
        "mariadb-server-core",
        "mariadb-client-core",
        "mariadb-client",
        "age",
    )  # the last two: for backups
    ports = (Port("mariadb", 13306, clients=(IDENTITY, SERVERS, IMAGE, NETWORK, STACKS, KEYS)),)

    @property
    def data(self) -> Path:
        return self.ctx.layout.state / "mariadb"

    def folders(self) -> list[Folder]:
        return [Folder(self.data, self.user), Folder(self.ctx.layout.run / "mariadb", self.user)]

    def files(self) -> list[File]:
        settings = {
            "datadir": self.data,
            "socket": self.ctx.layout.run / "mariadb/mysqld.sock",
            "pid_file": self.ctx.layout.run / "mariadb/mysqld.pid",
            "tmpdir": self.data,
            "bind_address": "127.0.0.1",
            "port": self.ctx.port("mariadb"),
            "skip_name_resolve": 1,
            "character_set_server": "utf8mb3",
            "max_connections": 400,
            "innodb_buffer_pool_size": f"{self.ctx.cloud.sizes.database_cache_mb}M",
            "innodb_log_file_size": "32M",
            "innodb_log_buffer_size": "2M",
            "key_buffer_size": "1M",
            "aria_pagecache_buffer_size": "2M",
            "query_cache_size": 0,
            "performance_schema": "off",
            "thread_cache_size": 16,
            "plugin_load_add": "auth_socket",
            **ALIKE,
        }
        text = "# Written by skerry.\n[mariadbd]\n" + "".join(
            f"{key} = {value}\n" for key, value in settings.items()
        )
        return [File(self.ctx.layout.etc / "mariadb/my.cnf", text)]

    def _has_records(self) -> bool:
        """Whether services have databases there: then it is whole. Else it may be what a power cut has left of it."""
        own = {"mysql", "performance_schema", "sys", "test"}
        return self.data.is_dir() and any(
            path.is_dir() and path.name not in own for path in self.data.iterdir()
        )

    def work(self) -> list[Step]:
        def create(report: object) -> None:
            if self._has_records():
                return
            self.ctx.platform.remove(self.data)
            self.ctx.platform.make_folder(self.data, mode=0o750, owner=self.user)
            self.ctx.platform.run(
                [
                    "mariadb-install-db",
                    "--no-defaults",
                    f"--datadir={self.data}",
                    f"--user={self.user}",
                    "--auth-root-authentication-method=socket",
                    "--auth-root-socket-user=root",
                    "--skip-test-db",
                    "--skip-name-resolve",
                    "--innodb-buffer-pool-size=32M",
                ]
            )

        needs = ("packages", "machine")
        return [Once(self.ctx, "create:mariadb", "create the database's files", create, needs=needs, cost=3)]

    def services(self) -> list[Service]:
        config = self.files()
        return [
            Service(
                "mariadb",
                (self.ctx.platform.program("mariadbd"), f"--defaults-file={config[0].path}"),
                UnixProbe(self.ctx.layout.run / "mariadb/mysqld.sock"),
                title=self.title,
                user=self.user,
                env={"MALLOC_ARENA_MAX": "2"},  # glibc's arenas, one for each thread, would take 250 MB
                files=tuple(config),
                after=("create:mariadb",),
                stop_seconds=60,
                oom_score=OOM_PROTECTED,
                cost=1,
            )
        ]
