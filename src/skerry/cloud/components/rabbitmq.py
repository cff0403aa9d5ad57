"""RabbitMQ: the message broker, as a private instance."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from skerry.cloud.components import registry
from skerry.cloud.components.base.component import Component
from skerry.cloud.components.upkeep.queues import UnreadQueues
from skerry.cloud.engine.upkeep import UpkeepTask
from skerry.cloud.model.ports import Port
from skerry.cloud.model.secrets import Secret
from skerry.cloud.model.users import BROKER, COMPUTE, NETWORK, SERVERS, STACKS, WEB
from skerry.cloud.supervise.probes import AmqpProbe
from skerry.cloud.supervise.service import File, Folder, Service


class RabbitMQ(Component):
    name = "rabbitmq"
    title = "the message broker (RabbitMQ)"
    user = BROKER
    packages = ("rabbitmq-server",)
    ports = (
        Port("rabbitmq", 15673, shared=True, clients=(SERVERS, COMPUTE, NETWORK, STACKS, WEB)),
        Port("rabbitmq-distribution", 25673, clients=(BROKER,)),
        Port("epmd", 14369, clients=(BROKER,)),
    )
    secrets = (Secret("rabbitmq", on_hosts=True), Secret("erlang-cookie"))

    @property
    def home(self) -> Path:
        return self.ctx.layout.state / "rabbitmq"

    def folders(self) -> list[Folder]:
        return [Folder(self.home, self.user)]

    def files(self) -> list[File]:
        etc = self.ctx.layout.etc / "rabbitmq"
        config = f"""# Written by skerry.
listeners.tcp.1 = 127.0.0.1:{self.ctx.port("rabbitmq")}
distribution.listener.interface = 127.0.0.1
distribution.listener.port_range.min = {self.ctx.port("rabbitmq-distribution")}
distribution.listener.port_range.max = {self.ctx.port("rabbitmq-distribution")}
default_vhost = /
load_definitions = {etc}/definitions.json
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 100MB
log.console = true
log.console.level = warning
log.file = false
"""
        definitions = {
            # Sent to every client that connects. Without one the broker asks the resolver for the host's full name
            # each time, and a client waits for as long as a name server that is out of reach takes.
            "global_parameters": [{"name": "cluster_name", "value": self.ctx.cloud.name}],
            "vhosts": [{"name": "/"}],
            "users": [
                {
                    "name": "openstack",
                    "password_hash": _rabbit_hash(self.ctx.secrets["rabbitmq"]),
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": "",  # services use queues, and administer nothing
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
            "RABBITMQ_DIST_PORT": str(self.ctx.port("rabbitmq-distribution")),
            "ERL_EPMD_PORT": str(self.ctx.port("epmd")),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def upkeep(self) -> list[UpkeepTask]:
        def ask(words: Sequence[str]) -> str:
            command = [self.ctx.platform.program("rabbitmqctl"), "-q", *words]
            return self.ctx.platform.run(command, env=self.environment(), timeout=60).stdout

        return [UnreadQueues(self.ctx.layout.state / "unread-queues.json", ask).task()]

    def services(self) -> list[Service]:
        # A power cut leaves tables empty that the broker made and had not written yet: it does not start with them.
        start = 'find "$1" -name "*.dets" -empty -delete; exec "$2"'
        return [
            Service(
                "rabbitmq",
                ("/bin/sh", "-c", start, "sh", str(self.home), self.ctx.platform.program("rabbitmq-server")),
                AmqpProbe(self.ctx.port("rabbitmq")),
                title=self.title,
                user=self.user,
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


def login_problem(password: str) -> str | None:
    """None when the broker takes the services' password, else what it said. Raises OSError."""
    import amqp
    from amqp.exceptions import AMQPError

    connection = amqp.Connection(
        f"127.0.0.1:{registry.port('rabbitmq')}",
        userid="openstack",
        password=password,
        connect_timeout=5,
        read_timeout=5,
    )
    try:
        connection.connect()
    except AMQPError as error:
        return str(error).splitlines()[0]
    finally:
        connection.collect()
    return None
