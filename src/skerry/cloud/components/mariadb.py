"""What OpenStack stands on, as private instances: MariaDB, RabbitMQ, memcached, HAProxy."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from skerry.cloud.components.base.component import Role
from skerry.cloud.components.haproxy.gateway import gateway
from skerry.cloud.engine.step import Step
from skerry.cloud.model import ports
from skerry.cloud.steps.certificates import Certificates
from skerry.cloud.steps.once import Once
from skerry.cloud.supervise.probes import AmqpProbe, TcpProbe, UnixProbe
from skerry.cloud.supervise.service import SERVICE_USER, File, Service


class MariaDB(Role):
    name = "mariadb"
    title = "the database (MariaDB)"
    packages = ("mariadb-server-core", "mariadb-client-core")

    @property
    def data(self) -> Path:
        return self.ctx.layout.state / "mariadb"

    def folders(self) -> dict[Path, str]:
        return {self.data: SERVICE_USER, self.ctx.layout.run / "mariadb": SERVICE_USER}

    def files(self) -> list[File]:
        settings = {
            "datadir": self.data,
            "socket": self.ctx.layout.run / "mariadb/mysqld.sock",
            "pid_file": self.ctx.layout.run / "mariadb/mysqld.pid",
            "tmpdir": self.data,
            "bind_address": "127.0.0.1",
            "port": ports.MARIADB,
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
        }
        text = "# Written by skerry.\n[mariadbd]\n" + "".join(
            f"{key} = {value}\n" for key, value in settings.items()
        )
        return [File(self.ctx.layout.etc / "mariadb/my.cnf", text)]

    def work(self) -> list[Step]:
        def create(say: object) -> None:
            if (self.data / "mysql/global_priv.frm").exists() or (
                self.data / "mysql/proxies_priv.frm"
            ).exists():
                return
            self.ctx.platform.remove(self.data)
            self.ctx.platform.make_folder(self.data, mode=0o750, owner=SERVICE_USER)
            self.ctx.platform.run(
                [
                    "mariadb-install-db",
                    "--no-defaults",
                    f"--datadir={self.data}",
                    f"--user={SERVICE_USER}",
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
                ("/usr/sbin/mariadbd", f"--defaults-file={config[0].path}"),
                UnixProbe(self.ctx.layout.run / "mariadb/mysqld.sock"),
                title=self.title,
                env={"MALLOC_ARENA_MAX": "2"},  # glibc's arenas, one for each thread, would take 250 MB
                files=tuple(config),
                after=("create:mariadb",),
                stop_seconds=60,
                cost=1,
            )
        ]


class RabbitMQ(Role):
    name = "rabbitmq"
    title = "the message broker (RabbitMQ)"
    packages = ("rabbitmq-server",)

    @property
    def home(self) -> Path:
        return self.ctx.layout.state / "rabbitmq"

    def folders(self) -> dict[Path, str]:
        return {self.home: SERVICE_USER}

    def files(self) -> list[File]:
        etc = self.ctx.layout.etc / "rabbitmq"
        config = f"""# Written by skerry.
listeners.tcp.1 = 127.0.0.1:{ports.RABBITMQ}
distribution.listener.interface = 127.0.0.1
distribution.listener.port_range.min = {ports.RABBITMQ_DISTRIBUTION}
distribution.listener.port_range.max = {ports.RABBITMQ_DISTRIBUTION}
default_vhost = /
load_definitions = {etc}/definitions.json
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 100MB
log.console = true
log.console.level = warning
log.file = false
"""
        definitions = {
            # Told to every client that connects. Without one the broker asks the resolver for the host's full name
            # each time, and a client waits for as long as a name server that is out of reach takes.
            "global_parameters": [{"name": "cluster_name", "value": self.ctx.cloud.name}],
            "vhosts": [{"name": "/"}],
            "users": [
                {
                    "name": "openstack",
                    "password_hash": _rabbit_hash(self.ctx.secrets["rabbitmq"]),
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": "administrator",
                }
            ],
            "permissions": [
                {"user": "openstack", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
            ],
        }
        return [
            File(etc / "rabbitmq.conf", config),
            File(etc / "definitions.json", json.dumps(definitions, indent=1) + "\n", secret=True),
            File(etc / "enabled_plugins", "[].\n"),
            File(
                etc / "env.conf",
                "# Written by skerry: the machine's own settings are not for this instance.\n",
            ),
            # The broker and its tools authenticate to each other by this file, and insist on its mode.
            File(
                self.home / ".erlang.cookie",
                self.ctx.secrets["erlang-cookie"],
                secret=True,
                owner=SERVICE_USER,
            ),
        ]

    def environment(self) -> dict[str, str]:
        """What the broker and its command-line tools need to find this instance and no other."""
        etc = self.ctx.layout.etc / "rabbitmq"
        return {
            "HOME": str(self.home),
            "RABBITMQ_NODENAME": "skerry@localhost",
            "RABBITMQ_CONF_ENV_FILE": str(etc / "env.conf"),
            "RABBITMQ_CONFIG_FILE": str(etc / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(etc / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none +A 4",
            "RABBITMQ_DIST_PORT": str(ports.RABBITMQ_DISTRIBUTION),
            "ERL_EPMD_PORT": str(ports.EPMD),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def services(self) -> list[Service]:
        return [
            Service(
                "rabbitmq",
                ("/usr/lib/rabbitmq/bin/rabbitmq-server",),
                AmqpProbe(ports.RABBITMQ),
                title=self.title,
                env=self.environment(),
                files=tuple(file for file in self.files() if not file.path.name.startswith(".")),
                after=("packages",),
                stop_seconds=40,
                cost=5,
            )
        ]


def _rabbit_hash(password: str) -> str:
    """A password as RabbitMQ's definitions want it: base64(salt + sha256(salt + password)), salt of 4 bytes.

    The salt comes from the password, so that the file is the same each time it is generated.
    """
    salt = hashlib.sha256(b"skerry" + password.encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


class Memcached(Role):
    name = "memcached"
    title = "the cache (memcached)"
    packages = ("memcached",)

    def services(self) -> list[Service]:
        argv = (
            "/usr/bin/memcached",
            "-l",
            "127.0.0.1",
            "-p",
            str(ports.MEMCACHED),
            "-m",
            "32",
            "-t",
            "1",
            "-c",
            "512",
        )
        probe = TcpProbe(ports.MEMCACHED)
        return [Service("memcached", argv, probe, title=self.title, after=("packages",), cost=0.2)]


class HAProxy(Role):
    """The front of all APIs: keeps clients' connections, waits while an API restarts, later ends TLS."""

    name = "haproxy"
    title = "the front of the APIs (HAProxy)"
    packages = ("haproxy",)

    def __init__(self, ctx: object, apis: dict[str, int]) -> None:
        super().__init__(ctx)  # type: ignore[arg-type]
        self.apis = apis  # name -> port; the API listens on run/api/NAME.sock

    def folders(self) -> dict[Path, str]:
        return {self.ctx.layout.run / "api": SERVICE_USER}

    def files(self) -> list[File]:
        parts = [
            """# Written by skerry.
global
    maxconn 2000
    nbthread 1
    log stdout format raw daemon notice

defaults
    mode http
    log global
    option http-server-close
    option redispatch
    option forwardfor
    # An API that restarts is waited for: 10 tries, a second apart, before a client sees an error.
    retries 10
    retry-on conn-failure
    timeout connect 10s
    timeout client 300s
    timeout server 300s
    timeout http-request 60s
"""
        ]
        for name, port in sorted(self.apis.items()):
            socket = self.ctx.layout.run / "api" / f"{name}.sock"
            parts.append(
                f"listen {name}\n    bind {self.ctx.listen}:{port}\n    server {name} unix@{socket} maxconn 64\n"
            )
        if self.ctx.cloud.others:
            parts.append(gateway(self.ctx))
        return [File(self.ctx.layout.etc / "haproxy/haproxy.cfg", "\n".join(parts))]

    def services(self) -> list[Service]:
        config = self.files()
        argv = ("/usr/sbin/haproxy", "-W", "-db", "-f", str(config[0].path))
        probe = TcpProbe(ports.KEYSTONE, host=self.ctx.listen)
        files = (*config, *(Certificates(self.ctx).files() if self.ctx.cloud.others else ()))
        return [Service("haproxy", argv, probe, title=self.title, files=files, after=("packages",), cost=0.2)]

    @property
    def configure_needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("machine", *(("certificates",) if self.ctx.cloud.others else ()))
