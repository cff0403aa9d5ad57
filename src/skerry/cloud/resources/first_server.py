"""What a fresh cloud has in it: flavors, the tiny image, networks, a key, and a first server that answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymysql

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step, Unknown
from skerry.cloud.images import tiny
from skerry.cloud.platform.name_servers import name_servers
from skerry.cloud.steps.database import connect
from skerry.cloud.steps.manage import apart
from skerry.common.errors import NotReadyError, StepError
from skerry.common.proc import last_lines
from skerry.common.wait import wait_for

FLAVORS = {  # name: (MiB of memory, virtual CPUs, GiB of disk)
    "m1.nano": (128, 1, 1),
    "m1.tiny": (256, 1, 1),
    "m1.small": (512, 1, 5),
    "m1.medium": (1024, 1, 10),
    "m1.large": (2048, 2, 20),
}
PUBLIC, PRIVATE, ROUTER = "public", "private", "router"
KEYPAIR, GROUP, SERVER, IMAGE = "skerry", "ssh-ping", "first", "tiny"
USER = "skerry"  # of the tiny image


def key_path(ctx: Context) -> Path:
    """The private key of the keypair that the first server lets in."""
    return ctx.layout.etc / "id_ed25519"


def ssh_command(ctx: Context, address: str) -> list[str]:
    """The command that a user would type; the host key of a fresh guest is not known yet."""
    known = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    return ["ssh", "-i", str(key_path(ctx)), *known, f"{USER}@{address}"]


class ApiStep(Step):
    """A step that looks through the APIs."""

    live = True

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def check(self) -> list[Change]:
        from keystoneauth1.exceptions import ClientException
        from openstack.exceptions import SDKException

        try:
            return self.look()
        except (SDKException, ClientException) as error:
            raise Unknown(f"the APIs do not answer: {error}") from None

    def look(self) -> list[Change]:
        raise NotImplementedError


class Alive(ApiStep):
    """Every compute host is mapped into its cell and alive, and so is its network agent."""

    name = "compute-alive"
    title = "compute hosts report to the cloud"
    needs: tuple[str, ...] = (
        "start:nova-compute",
        "start:nova-api",
        "start:nova-scheduler",
        "start:ovn-controller",
        "start:neutron-api",
        "network",
    )
    cost = 4.0

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self.hosts = [host.name for host in ctx.cloud.computes]
        self.needs = (*self.needs, *(f"host:{host.name}" for host in ctx.cloud.others))

    def _started(self, host: str) -> float:
        """When nova-compute was started there, seconds since the epoch: it must have reported since."""
        if host == self.ctx.host.name:
            return self.ctx.supervisor.process("nova-compute").since
        return float(self.ctx.journal.done(f"host:{host}") or 0)

    def _service(self, host: str) -> Any:
        found = self.ctx.api.compute.services(binary="nova-compute")
        return next((service for service in found if service.host == host), None)

    def lack(self) -> str | None:
        """What some compute host has not reported yet, None when all have."""
        return next((lack for host in self.hosts if (lack := self._lack_of(host))), None)

    def _lack_of(self, host: str) -> str | None:
        api, service = self.ctx.api, self._service(host)
        if service is None or not service.updated_at:
            return f"nova-compute on {host} has not reported"
        reported = datetime.fromisoformat(service.updated_at).replace(tzinfo=UTC).timestamp()
        if reported < self._started(host):
            return f"nova-compute on {host} has not reported since it was started"
        if service.is_forced_down:
            return f"{host} is marked as dead"
        if service.state != "up":
            return f"nova-compute on {host} has not reported since {service.updated_at}"
        if (service.disabled_reason or "").startswith("AUTO:"):  # nova's own doing, not an operator's
            return f"nova-compute on {host} has switched itself off ({service.disabled_reason})"
        if not any(True for _ in api.placement.resource_providers(name=host)):
            return f"the inventory of {host} is not in placement"
        agents = [a for a in api.network.agents() if a.host == host and "Controller" in a.agent_type]
        if not agents or not agents[0].is_alive:
            return f"OVN's agent on {host} is not alive"
        return None

    def _lack_when_back(self) -> str | None:
        """The same, and a host that was marked as dead is so no more: its part of the cloud has been started."""
        from openstack.exceptions import BadRequestException

        for host in self.hosts:
            service = self._service(host)
            if service is not None and service.is_forced_down:
                try:
                    self.ctx.api.compute.update_service_forced_down(service, forced=False)
                except BadRequestException as busy:  # it still removes what was evacuated from it
                    return f"{host} is marked as dead: {busy.message}"
        return self.lack()

    def _unmapped(self) -> list[str]:
        try:
            with connect(self.ctx, database="nova_api") as root, root.cursor() as cursor:
                cursor.execute("select host from host_mappings")
                mapped = {row[0] for row in cursor.fetchall()}
                return [host for host in self.hosts if host not in mapped]
        except pymysql.err.OperationalError as error:
            raise Unknown(f"MariaDB does not answer: {error.args[-1]}") from None

    def look(self) -> list[Change]:
        changes = [Change(f"map host {host} into its cell") for host in self._unmapped()]
        lack = self.lack()
        return changes + ([Change(f"wait ({lack})")] if lack else [])

    def apply(self, say: Callable[[str], None]) -> None:
        wait_for("the compute hosts", self._lack_when_back, 90)
        if self._unmapped():
            from skerry.cloud.components.nova.component import Nova

            nova = Nova(self.ctx)
            command = [
                *apart(self.ctx, "nova-manage"),
                self.ctx.layout.bin("nova-manage"),
                *nova.control_arguments(),
                "cell_v2",
                "discover_hosts",
            ]
            self.ctx.platform.run(command)


class Flavors(ApiStep):
    name = "flavors"
    title = "flavors"
    needs = ("start:nova-api", "accounts")
    cost = 0.5

    def look(self) -> list[Change]:
        have = {flavor.name for flavor in self.ctx.api.compute.flavors()}
        return [Change(f"create flavor {name}") for name in FLAVORS if name not in have]

    def apply(self, say: Callable[[str], None]) -> None:
        have = {flavor.name for flavor in self.ctx.api.compute.flavors()}
        for name, (ram, vcpus, disk) in FLAVORS.items():
            if name not in have:
                self.ctx.api.compute.create_flavor(name=name, ram=ram, vcpus=vcpus, disk=disk)


class TinyImage(Step):
    """The tiny guest's files are built."""

    name = "build-image"
    title = "build the image 'tiny'"
    needs = ("packages",)
    cost = 5.0

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.folder = ctx.layout.cache / "images/tiny"

    def files(self) -> tiny.TinyImage | None:
        """What was built, None before."""
        text = self.ctx.platform.read(self.folder / "built.json")
        if text is None:
            return None
        built = json.loads(text)
        paths = {part: self.folder / built[part] for part in ("kernel", "initrd", "disk")}
        if not all(path.exists() for path in paths.values()):
            return None
        return tiny.TinyImage(**paths, version=built["version"])

    def check(self) -> list[Change]:
        return [] if self.files() else [Change("build the image 'tiny'")]

    def apply(self, say: Callable[[str], None]) -> None:
        image = tiny.build(self.folder, self.ctx.layout.cache / "images/work", say)
        built = {"kernel": image.kernel.name, "initrd": image.initrd.name, "disk": image.disk.name}
        self.ctx.platform.write(
            self.folder / "built.json", json.dumps({**built, "version": image.version}) + "\n"
        )


class Image(ApiStep):
    """The tiny image is in glance: kernel, initial ramdisk and disk."""

    name = "image"
    title = "upload the image 'tiny'"
    needs = ("build-image", "start:glance-api", "accounts")
    cost = 2.0

    def look(self) -> list[Change]:
        found = {image.name for image in self.ctx.api.image.images(status="active")}
        return [] if IMAGE in found else [Change(f"upload image {IMAGE}")]

    def apply(self, say: Callable[[str], None]) -> None:
        files = TinyImage(self.ctx).files()
        if files is None:
            raise StepError(self.name, "the image was not built")
        upload_tiny(self.ctx.api, files, IMAGE)


def upload_tiny(api: Any, files: tiny.TinyImage, name: str) -> Any:
    """Upload the three parts of a tiny guest as public images; returns the disk's image.

    Parts that a broken run left behind are removed first.
    """
    parts = {f"{name}-kernel": ("aki", files.kernel), f"{name}-ramdisk": ("ari", files.initrd)}
    for image in list(api.image.images()):
        if image.name in (*parts, name):
            api.image.delete_image(image)
    ids = {}
    for part, (kind, path) in parts.items():
        image = api.image.create_image(
            part, filename=str(path), disk_format=kind, container_format=kind, visibility="public", wait=True
        )
        ids[part] = image.id
    return api.image.create_image(
        name,
        filename=str(files.disk),
        disk_format="qcow2",
        container_format="bare",
        visibility="public",
        wait=True,
        kernel_id=ids[f"{name}-kernel"],
        ramdisk_id=ids[f"{name}-ramdisk"],
        os_distro="debian",
        hw_rng_model="virtio",
        **tiny.PROPERTIES,
    )


class Network(ApiStep):
    """The external network, a private one, a router between them; a security group that lets SSH and ping in."""

    name = "network"
    title = "networks, router, security group"
    needs = ("start:neutron-api", "accounts", "start:ovn-northd", "external-network")
    cost = 3.0

    def look(self) -> list[Change]:
        network = self.ctx.api.network
        changes = []
        have = {item.name for item in network.networks()}
        changes += [Change(f"create network {name}") for name in (PUBLIC, PRIVATE) if name not in have]
        have = {item.name for item in network.subnets()}
        changes += [Change(f"create subnet {name}") for name in (PUBLIC, PRIVATE) if name not in have]
        router = network.find_router(ROUTER)
        if router is None or not router.external_gateway_info:
            changes.append(Change(f"create router {ROUTER}"))
        elif not any(
            True for _ in network.ports(device_id=router.id, device_owner="network:router_interface")
        ):
            changes.append(Change(f"connect router {ROUTER} to network {PRIVATE}"))
        group = network.find_security_group(GROUP, project_id=self._project())
        if (
            group is None
            or len(list(network.security_group_rules(security_group_id=group.id, direction="ingress"))) < 2
        ):
            changes.append(Change(f"create security group {GROUP}"))
        return changes

    def _project(self) -> str:
        return str(self.ctx.api.current_project_id)

    def apply(self, say: Callable[[str], None]) -> None:
        network, cloud = self.ctx.api.network, self.ctx.cloud
        public = network.find_network(PUBLIC) or network.create_network(
            name=PUBLIC,
            is_router_external=True,
            provider_network_type="flat",
            provider_physical_network="public",
        )
        hosts = cloud.external.cidr
        if network.find_subnet(PUBLIC) is None:
            network.create_subnet(
                name=PUBLIC,
                network_id=public.id,
                ip_version=4,
                cidr=str(hosts),
                gateway_ip=str(hosts[1]),
                is_dhcp_enabled=False,
                allocation_pools=[{"start": str(hosts[2]), "end": str(hosts[-2])}],
            )
        private = network.find_network(PRIVATE) or network.create_network(name=PRIVATE)
        subnet = network.find_subnet(PRIVATE) or network.create_subnet(
            name=PRIVATE,
            network_id=private.id,
            ip_version=4,
            cidr=str(cloud.private.cidr),
            dns_nameservers=name_servers(cloud),
        )
        router = network.find_router(ROUTER) or network.create_router(name=ROUTER)
        if not router.external_gateway_info:
            network.update_router(router, external_gateway_info={"network_id": public.id})
        if not any(True for _ in network.ports(device_id=router.id, device_owner="network:router_interface")):
            network.add_interface_to_router(router, subnet_id=subnet.id)
        group = network.find_security_group(
            GROUP, project_id=self._project()
        ) or network.create_security_group(name=GROUP, description="SSH and ping from everywhere")
        have = {
            (rule.protocol, rule.port_range_min)
            for rule in network.security_group_rules(security_group_id=group.id, direction="ingress")
        }
        for protocol, port in (("icmp", None), ("tcp", 22)):
            if (protocol, port) not in have:
                network.create_security_group_rule(
                    security_group_id=group.id,
                    direction="ingress",
                    protocol=protocol,
                    port_range_min=port,
                    port_range_max=port,
                )


class Keypair(ApiStep):
    name = "keypair"
    title = "keypair"
    needs = ("start:nova-api", "accounts", "packages", "machine")
    cost = 0.3

    def look(self) -> list[Change]:
        changes = [] if key_path(self.ctx).exists() else [Change(f"make key {key_path(self.ctx)}")]
        if self.ctx.api.compute.find_keypair(KEYPAIR) is None:
            changes.append(Change(f"create keypair {KEYPAIR}"))
        return changes

    def apply(self, say: Callable[[str], None]) -> None:
        path, compute = key_path(self.ctx), self.ctx.api.compute
        if not path.exists():
            self.ctx.platform.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "skerry", "-f", str(path)]
            )
            old = compute.find_keypair(KEYPAIR)
            if old is not None:
                compute.delete_keypair(old)
        if compute.find_keypair(KEYPAIR) is None:
            compute.create_keypair(name=KEYPAIR, public_key=path.with_suffix(".pub").read_text())


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

    def apply(self, say: Callable[[str], None]) -> None:
        compute, network = self.ctx.api.compute, self.ctx.api.network
        server = compute.find_server(SERVER)
        if server is not None and compute.get_server(server).status == "ERROR":
            compute.delete_server(server)
            compute.wait_for_delete(server)
            server = None
        if server is None:
            say("create it")
            server = compute.create_server(
                name=SERVER,
                image_id=self.ctx.api.image.find_image(IMAGE).id,
                flavor_id=compute.find_flavor("m1.nano").id,
                networks=[{"uuid": network.find_network(PRIVATE).id}],
                key_name=KEYPAIR,
                security_groups=[{"name": GROUP}],
            )
        say("wait until it is ACTIVE")
        server = wait_active(self.ctx, server)
        address = self.address()
        if address is None:
            port = next(iter(network.ports(device_id=server.id)))
            floating = network.create_ip(floating_network_id=network.find_network(PUBLIC).id, port_id=port.id)
            address = str(floating.floating_ip_address)
        say(f"wait until SSH answers at {address}")
        try:
            wait_for(f"SSH on server {SERVER} ({address})", lambda: ssh_lack(self.ctx, address), 120)
        except NotReadyError as late:
            what, seconds, lack = late.args
            raise NotReadyError(what, seconds, f"{lack}. {self._console(server)}") from None
        self.ctx.journal.finish(self.name, "answered")

    def _console(self, server: Any) -> str:
        """What a server's console says last, in a sentence that also holds when nova does not tell."""
        from keystoneauth1.exceptions import ClientException
        from openstack.exceptions import SDKException

        try:
            told = self.ctx.api.compute.get_server_console_output(server.id)["output"] or ""
        except (SDKException, ClientException) as error:
            return f"Its console cannot be read: {error}"
        return f"Its console says: {last_lines(told) or 'nothing'}"


def wait_active(ctx: Context, server: Any, seconds: float = 180) -> Any:
    """Wait until a server is ACTIVE and return it. Raises StepError with nova's fault when it goes to ERROR."""

    def lack() -> str | None:
        now = ctx.api.compute.get_server(server.id)
        if now.status == "ERROR":
            fault = (now.fault or {}).get("message", "nova gives no reason")
            raise StepError(
                "first-server", f"server {now.name} went to ERROR: {fault}", remedy="Run 'skerry doctor'."
            )
        return None if now.status == "ACTIVE" else f"its status is {now.status} ({now.task_state})"

    wait_for(f"server {server.name}", lack, seconds, every=0.3)
    return ctx.api.compute.get_server(server.id)


def ssh_lack(ctx: Context, address: str, command: str = "true") -> str | None:
    """None when ``command`` runs on the guest over SSH, else what SSH said."""
    argv = [*ssh_command(ctx, address), command]
    argv[1:1] = ["-o", "ConnectTimeout=3", "-o", "BatchMode=yes"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=15, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return "ssh hangs"
    return (
        None
        if done.returncode == 0
        else (done.stderr.strip().splitlines() or [f"ssh ended with {done.returncode}"])[-1]
    )
