"""Servers of the plan's flavors: made when a run first needs them, and removed in the end with all that is theirs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from skerry.common.errors import NotFoundError, NotReadyError, SkerryError, StepError
from skerry.common.proc import run
from skerry.common.wait import wait_for
from skerry.migration.measurement.probe import UDP_PORT
from skerry.migration.nova import Server
from skerry.migration.plan import PREFIX, Flavor
from skerry.migration.site import Site

GROUP = f"{PREFIX}probes"
IMAGE, NETWORK, OUTSIDE, KEYPAIR = "tiny", "private", "public", "skerry"
BOOTS, ANSWERS, GONE = 300.0, 180.0, 120.0  # seconds of an idle machine


class Fleet:
    """The servers of an evaluation, as a context manager. What a killed run left of its own is removed first."""

    def __init__(
        self, api: Any, site: Site, flavors: dict[str, Flavor], report: Callable[[str], None]
    ) -> None:
        self._api, self._site, self._flavors, self._report = api, site, flavors, report
        self._servers: dict[str, Server] = {}
        self._failed: dict[str, SkerryError] = {}

    def __enter__(self) -> Fleet:
        self.take_away()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(SkerryError):
            self.take_away()

    def get(self, flavor: str) -> Server:
        """The running server of a flavor; one that a migration has broken is replaced.

        Raises NotFoundError, StepError: nova could not boot it, which is not tried a second time.
        """
        if flavor in self._failed:
            raise self._failed[flavor]
        if flavor in self._servers and self._servers[flavor].now().status != "ACTIVE":
            broken = self._servers.pop(flavor)
            self._api.compute.delete_server(broken.id, force=True)
            self._until_gone(broken.id)
        if flavor not in self._servers:
            self._report(f"boots a server of flavor {flavor}")
            try:
                self._servers[flavor] = self._boot(flavor)
            except SkerryError as error:
                self._failed[flavor] = error
                raise
        return self._servers[flavor]

    @property
    def network(self) -> str:
        """The id of the network that the servers are on. Raises NotFoundError."""
        return str(self._known(self._api.network.find_network(NETWORK), f"network '{NETWORK}'").id)

    def shell(self, server: Server) -> Callable[[str], str]:
        """Runs a script as root on a server and returns what it prints; raises StepError."""
        argv = [*self._site.login(server.address), "sudo", "sh", "-s"]

        def work(script: str) -> str:
            try:
                return run(argv, input=script + "\n", timeout=120).stdout
            except SkerryError as error:
                raise StepError("guest", f"{server.name}: {error}") from None

        return work

    def _boot(self, flavor: str) -> Server:
        compute, network = self._api.compute, self._api.network
        name, size = PREFIX + flavor, self._flavors[flavor]
        made = compute.find_flavor(name) or compute.create_flavor(
            name=name, ram=size.memory, vcpus=size.vcpus, disk=size.disk
        )
        server = compute.create_server(
            name=name,
            image_id=self._known(self._api.image.find_image(IMAGE), f"image '{IMAGE}'").id,
            flavor_id=made.id,
            networks=[{"uuid": self.network}],
            key_name=KEYPAIR,
            security_groups=[{"name": self._group()}],
        )

        def inactive() -> str | None:
            now = compute.get_server(server.id)
            if now.status == "ERROR":
                raise StepError("boot", f"the server of flavor {flavor}: {(now.fault or {}).get('message')}")
            return None if now.status == "ACTIVE" else f"it is {now.status}"

        _wait(name, inactive, BOOTS)
        port = next(iter(network.ports(device_id=server.id)))
        outside = self._known(network.find_network(OUTSIDE), f"network '{OUTSIDE}'")
        network.create_ip(floating_network_id=outside.id, port_id=port.id, description=GROUP)
        found = Server(self._api, name)
        self._until_it_answers(found)
        return found

    def _until_it_answers(self, server: Server) -> None:
        def silent() -> str | None:
            try:
                # The kernel sends one 'port unreachable' in a second to each address, and the UDP probe wants all.
                self.shell(server)("echo 0 >/proc/sys/net/ipv4/icmp_ratelimit")
            except SkerryError as error:  # it learns of its key, and nova of its address, a little later
                return f"no answer over SSH: {error}"
            return None

        _wait(server.name, silent, ANSWERS)

    def _until_gone(self, server: str) -> None:
        def left() -> str | None:
            return None if self._api.compute.find_server(server) is None else "it is still there"

        _wait(f"the end of server {server}", left, GONE)

    def _known(self, found: Any, what: str) -> Any:
        if found is None:
            raise NotFoundError(f"The cloud has no {what}.", remedy="'skerry up' makes it.")
        return found

    def _group(self) -> str:
        network, project = self._api.network, self._api.current_project_id
        if network.find_security_group(GROUP, project_id=project) is None:
            group = network.create_security_group(name=GROUP, description="probes of 'skerry migration run'")
            for protocol, port in (("icmp", None), ("tcp", 22), ("udp", UDP_PORT)):
                network.create_security_group_rule(
                    security_group_id=group.id,
                    direction="ingress",
                    protocol=protocol,
                    port_range_min=port,
                    port_range_max=port,
                )
        return GROUP

    def take_away(self) -> None:
        """Remove servers, addresses, flavors and the security group of an evaluation, whichever run made them."""
        compute, network = self._api.compute, self._api.network
        self._servers.clear()
        servers = [one for one in compute.servers() if one.name.startswith(PREFIX)]
        for address in list(network.ips()):
            if address.description == GROUP:
                network.delete_ip(address, ignore_missing=True)
        for server in servers:
            compute.delete_server(server, ignore_missing=True)
        for server in servers:
            with suppress(StepError):  # what is left is found by the next run
                self._until_gone(server.id)
        for flavor in list(compute.flavors()):
            if flavor.name.startswith(PREFIX):
                compute.delete_flavor(flavor, ignore_missing=True)
        group = network.find_security_group(GROUP, project_id=self._api.current_project_id)
        if group is not None:
            with suppress(Exception):  # a server that is still going holds it
                network.delete_security_group(group)


def _wait(what: str, missing: Callable[[], str | None], seconds: float) -> None:
    """Wait as `wait_for` does; what is not ready is a step that failed."""
    try:
        wait_for(what, missing, seconds, 1.0)
    except NotReadyError as error:
        raise StepError("boot", str(error)) from None
