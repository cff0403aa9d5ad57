"""The first server: it has a floating address and answers over SSH."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change
from skerry.cloud.resources.base import (
    GROUP,
    IMAGE,
    KEYPAIR,
    PRIVATE,
    PUBLIC,
    SERVER,
    USER,
    ApiStep,
    key_path,
    own_images,
)
from skerry.common import log
from skerry.common.errors import NotReadyError, StepError
from skerry.common.proc import last_lines
from skerry.common.wait import wait_for


def ssh_command(ctx: Context, address: str) -> list[str]:
    """The command that a user would type; the host key of a fresh guest is not known yet."""
    known = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    return ["ssh", "-i", str(key_path(ctx)), *known, f"{USER}@{address}"]


class FirstServer(ApiStep):
    """A server with a floating address that answers over SSH."""

    name = "first-server"
    title = "a first server that answers over SSH"
    needs = (
        "image",
        "flavors",
        "network",
        "keypair",
        "compute-alive",
        "start:nova-metadata",
        "start:neutron-ovn-metadata-agent",
    )
    cost = 20.0

    def address(self) -> str | None:
        """The floating address of the first server, None when there is no server or no address."""
        server = self.ctx.api.compute.find_server(SERVER)
        if server is None:
            return None
        server = self.ctx.api.compute.get_server(server)
        for addresses in (server.addresses or {}).values():
            for entry in addresses:
                if entry.get("OS-EXT-IPS:type") == "floating":
                    return str(entry["addr"])
        return None

    def look(self) -> list[Change]:
        compute = self.ctx.api.compute
        server = compute.find_server(SERVER)
        if server is None:
            if self.ctx.journal.done(self.name):
                return []  # the user has deleted it: that is theirs to decide
            return [Change(f"create server {SERVER}")]
        server = compute.get_server(server)
        if self.ctx.journal.done(self.name) and server.status != "ACTIVE":
            return []
        if server.status != "ACTIVE" or not self.ctx.journal.done(self.name):
            return [Change(f"wait for server {SERVER}", server.status, "ACTIVE and answering")]
        return []

    def verify(self) -> None:
        """``apply`` has logged in."""

    def apply(self, report: Callable[[str], None]) -> None:
        compute, network = self.ctx.api.compute, self.ctx.api.network
        own = {"project_id": self.ctx.api.current_project_id}
        server = compute.find_server(SERVER)
        if server is not None and compute.get_server(server).status == "ERROR":
            compute.delete_server(server)
            compute.wait_for_delete(server)
            server = None
        if server is None:
            report("create it")
            server = compute.create_server(
                name=SERVER,
                image_id=own_images(self.ctx.api)[IMAGE].id,
                flavor_id=compute.find_flavor("m1.nano").id,
                networks=[{"uuid": network.find_network(PRIVATE, **own).id}],
                key_name=KEYPAIR,
                security_groups=[{"name": GROUP}],
            )
        report("wait until it is ACTIVE")
        server = wait_active(self.ctx, server)
        address = self.address()
        if address is None:
            port = next(iter(network.ports(device_id=server.id)))
            floating = network.create_ip(
                floating_network_id=network.find_network(PUBLIC, **own).id, port_id=port.id
            )
            address = str(floating.floating_ip_address)
        report(f"wait until SSH answers at {address}")
        try:
            wait_for(f"SSH on server {SERVER} ({address})", lambda: ssh_problem(self.ctx, address), 120)
        except NotReadyError as late:
            what, seconds, missing = late.args
            raise NotReadyError(what, seconds, f"{missing}. {self._console(server)}") from None
        self.ctx.journal.finish(self.name, "answered")

    def _console(self, server: Any) -> str:
        """The last words of a server's console, in a sentence that also holds when nova does not give them."""
        from keystoneauth1.exceptions import ClientException
        from openstack.exceptions import SDKException

        try:
            shown = self.ctx.api.compute.get_server_console_output(server.id)["output"] or ""
        except (SDKException, ClientException) as error:
            return f"Its console cannot be read: {error}"
        return f"The end of its console: {last_lines(shown) or 'nothing'}"


def wait_active(ctx: Context, server: Any, seconds: float = 180) -> Any:
    """Wait until a server is ACTIVE and return it. Raises StepError with nova's fault when it goes to ERROR."""

    def missing() -> str | None:
        now = ctx.api.compute.get_server(server.id)
        if now.status == "ERROR":
            fault = (now.fault or {}).get("message", "nova gives no reason")
            raise StepError(
                "first-server", f"server {now.name} went to ERROR: {fault}", remedy="Run 'skerry doctor'."
            )
        return None if now.status == "ACTIVE" else f"its status is {now.status} ({now.task_state})"

    wait_for(f"server {server.name}", missing, seconds, every=0.3)
    return ctx.api.compute.get_server(server.id)


def ssh_problem(ctx: Context, address: str, command: str = "true") -> str | None:
    """None when ``command`` runs on the guest over SSH, else what SSH said."""
    argv = [*ssh_command(ctx, address), command]
    argv[1:1] = ["-o", "ConnectTimeout=3", "-o", "BatchMode=yes"]
    try:
        with log.command(argv) as running:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=15, stdin=subprocess.DEVNULL)
            running.ended(done.returncode, done.stderr)
    except subprocess.TimeoutExpired:
        return "ssh hangs"
    return (
        None
        if done.returncode == 0
        else (done.stderr.strip().splitlines() or [f"ssh ended with {done.returncode}"])[-1]
    )
