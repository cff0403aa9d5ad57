"""RabbitMQ: the message broker, as a private instance."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from skerry.cloud.components.base.component import Role
from skerry.cloud.model import ports
from skerry.cloud.supervise.probes import AmqpProbe
from skerry.cloud.supervise.service import SERVICE_USER, File, Service


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
                (self.ctx.platform.program("rabbitmq-server"),),
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
