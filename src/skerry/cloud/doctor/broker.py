"""The message broker: lets the services in, has no alarm, and somebody reads every queue."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skerry.cloud.components.rabbitmq import RabbitMQ, login_problem
from skerry.cloud.doctor.base import CannotLook, Check, Finding, Patient
from skerry.common.errors import CommandError

UNREAD = 20  # messages in a queue that nobody reads


class BrokerLogin(Check):
    """The broker lets the services in."""

    name = "broker-login"
    message = "The broker refuses the services: no request gets from an API to what does the work."
    remedy = "'skerry up' brings the password of the secrets file to the broker."
    needs = ("rabbitmq",)

    def findings(self, patient: Patient) -> Iterable[Finding]:
        missing = login_problem(patient.ctx.secrets["rabbitmq"])
        if missing:
            yield Finding("error", "RabbitMQ refuses the services' account", (missing,))


class BrokerAlarms(Check):
    """The broker takes messages: neither memory nor disk is over its mark."""

    name = "broker-alarms"
    message = "With an alarm the broker blocks everyone who sends: requests hang until it is over."
    needs = ("rabbitmq",)
    seconds = 30.0

    def findings(self, patient: Patient) -> Iterable[Finding]:
        told = json.loads(_ask(patient, "rabbitmq-diagnostics", "alarms"))
        # Without an alarm it has "alarms", which is empty; with one, two lists of sentences in place of that.
        for kind in (*told.get("local", ()), *told.get("global", ())):
            remedy = (
                f"Free some disk where {patient.ctx.layout.state} is."
                if "disk" in str(kind)
                else "Find the queue that grows ('skerry doctor' names those that nobody reads)."
            )
            yield Finding("error", "RabbitMQ has an alarm and blocks all who send", (str(kind),), remedy)


class QueuesRead(Check):
    """Somebody reads every queue that has messages."""

    name = "queues-read"
    message = "Messages wait for a service that is gone."
    needs = ("rabbitmq",)
    seconds = 30.0

    def findings(self, patient: Patient) -> Iterable[Finding]:
        columns = ("name", "consumers", "messages", "type", "state")
        yield from unread(json.loads(_ask(patient, "rabbitmqctl", "list_queues", *columns)))


def unread(queues: Sequence[Mapping[str, Any]]) -> Iterable[Finding]:
    """Findings for queues that pile up or do not run. Streams keep what was read: their length means nothing."""
    for queue in queues:
        name = queue["name"]
        if queue.get("state") not in ("running", "idle", "flow", None, ""):
            yield Finding(
                "error", f"queue {name} is {queue['state']}", remedy="Restart rabbitmq: 'skerry up'."
            )
        elif queue["type"] == "stream" or queue["messages"] < UNREAD:
            continue
        elif not queue["consumers"]:
            yield Finding(
                "warning",
                f"queue {name} has {queue['messages']} messages, and nobody reads it",
                remedy=f"The service that reads '{name.split('.')[0]}' is gone or hangs: 'skerry status'.",
            )
        elif queue["messages"] > 50 * UNREAD:
            yield Finding(
                "warning",
                f"queue {name} has {queue['messages']} messages: its readers do not keep up",
                remedy="Give it more workers ([sizes] workers in cloud.toml), or find what it waits for.",
            )


def _ask(patient: Patient, program: str, *words: str) -> str:
    command = [patient.ctx.platform.program(program), "-q", *words, "--formatter", "json"]
    try:
        return patient.ctx.platform.run(command, env=RabbitMQ(patient.ctx).environment(), timeout=25).stdout
    except CommandError as error:
        raise CannotLook(str(error)) from None
