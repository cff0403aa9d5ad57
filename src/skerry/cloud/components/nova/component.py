"""nova: servers."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components.base.openstack import ELEVATION, OpenStackComponent, Sections
from skerry.cloud.components.libvirt.component import Libvirt
from skerry.cloud.components.libvirt.hypervisor import Hypervisor
from skerry.cloud.components.nova.novnc import NoVNC
from skerry.cloud.config.option_source import COMMON, DAEMONS, VOLUMES, OptionSource
from skerry.cloud.engine.step import Step
from skerry.cloud.model.catalogue import Endpoint
from skerry.cloud.model.ports import Port
from skerry.cloud.steps.certificates import CA, CERTIFICATE, KEY
from skerry.cloud.steps.manage import apart, manage
from skerry.cloud.supervise.probes import AllOf, ConnectedProbe, TcpProbe
from skerry.cloud.supervise.service import SERVICE_USER, File, Service

# As oslo.log has them (DEFAULT_LOG_LEVELS of 8.3), for what the services use; and one more: at INFO the consoles' proxies
# write down each address that is asked for, and the token in it opens the console.
LOG_LEVELS = (
    *("amqp=WARN", "sqlalchemy=WARN", "oslo.messaging=INFO", "oslo_messaging=INFO", "iso8601=WARN"),
    *("requests.packages.urllib3.connectionpool=WARN", "urllib3.connectionpool=WARN", "websocket=WARN"),
    *("requests.packages.urllib3.util.retry=WARN", "urllib3.util.retry=WARN", "keystonemiddleware=WARN"),
    *("routes.middleware=WARN", "stevedore=WARN", "taskflow=WARN", "keystoneauth=WARN", "oslo.cache=INFO"),
    *("oslo_policy=INFO", "dogpile.core.dogpile=INFO", "nova.console.websocketproxy=WARNING"),
)


class Nova(OpenStackComponent):
    name = "nova"
    title = "servers (nova)"
    options = OptionSource(
        ("nova.conf", *VOLUMES, *DAEMONS, *COMMON),
        ("nova", "os_vif", "vif_plug_ovs", "vif_plug_noop", "os_brick", "cotyledon"),
    )
    databases = {"nova": ("nova_api", "nova", "nova_cell0")}
    configure_needs = ("machine", "hypervisor")
    roles = ("control", "compute")
    apis = (Port("nova-api", 8774, shared=True), Port("nova-metadata", 8775, shared=True))
    ports = (Port("novnc", 6080), Port("serial", 6083))
    endpoints = (Endpoint("nova", "compute", "nova-api", "/v2.1"),)
    account = shares_account = True
    tests = "nova"
    panel = "/project/instances/"

    @property
    def with_database(self) -> Path:
        """The folder of the layer that nova-compute must not see."""
        return self.etc / "database"

    def folders(self) -> dict[Path, str]:
        return {
            **super().folders(),
            self.with_database: "root",
            self.state / "instances": SERVICE_USER,
        }

    def irreplaceable(self) -> dict[Path, str]:
        # Without it a host that is on record may not start again.
        return {self.state / "compute_id": SERVICE_USER}

    def settings(self) -> Sections:
        helper = self.privileged_helper()
        sizes = self.ctx.cloud.sizes
        return {
            "DEFAULT": {
                **self.logging(),
                "default_log_levels": LOG_LEVELS,
                **self.stopping(),
                "transport_url": self.transport_url(),
                "host": self.ctx.host.name,
                "my_ip": self.ctx.host.address,
                "state_path": self.state,
                "instances_path": self.state / "instances",
                "compute_driver": "libvirt.LibvirtDriver",
                "resume_guests_state_on_host_boot": True,
                "allow_resize_to_same_host": True,  # there may be no other
                "executor_thread_pool_size": 10,
                "reserved_host_memory_mb": 512,
                # A small machine has few cores, and small guests that mostly sleep; nova's own 4 stops at 8 servers.
                "initial_cpu_allocation_ratio": 16.0,
                "vif_plugging_timeout": 120,
                # Only then does it look for a libvirt that it has lost, and takes servers again (nova's own: 60 s).
                "update_resources_interval": 20,
                "mkisofs_cmd": "xorrisofs",
            },
            "keystone_authtoken": self.token_check(),
            "service_user": {**self.login(), "send_service_user_token": True},
            "placement": self.regional_login(),
            "neutron": {
                **self.regional_login(),
                "service_metadata_proxy": True,
                "metadata_proxy_shared_secret": self.ctx.secrets["metadata-proxy"],
            },
            "glance": {"region_name": self.ctx.cloud.region},
            **({"cache": self.cache()} if self.ctx.has_control_plane else {}),
            # Neutron's notifier holds this event for a second (send_events_interval); OVN is long done by then, and
            # a host without a live agent is refused before: neutron binds no port there.
            "compute": {"live_migration_wait_for_vif_plug": False},
            "conductor": {"workers": sizes.workers},
            "scheduler": {"workers": sizes.workers, "discover_hosts_in_cells_interval": 60},
            "vnc": {
                "enabled": True,
                **self.console(),
                "novncproxy_base_url": self.ctx.url("novnc", "/vnc_auto.html"),
                "novncproxy_host": self.ctx.listen,
                "novncproxy_port": self.ctx.port("novnc"),
            },
            "serial_console": {
                "enabled": not self.ctx.cloud.moves,  # nothing would encrypt them on their way between hosts
                "base_url": f"ws://{self.ctx.listen}:{self.ctx.port('serial')}/",
                "proxyclient_address": "127.0.0.1",
                "serialproxy_host": self.ctx.listen,
                "serialproxy_port": self.ctx.port("serial"),
            },
            "spice": {"enabled": False},
            "libvirt": {
                "virt_type": Hypervisor.decided(self.ctx),
                **self.cpu(),
                "connection_uri": Libvirt(self.ctx).uri,
                "swtpm_enabled": False,
                **(self.migration() if self.ctx.cloud.moves else {}),
                "wait_soft_reboot_seconds": 30,
            },
            "os_vif_ovs": {"ovsdb_connection": self.ctx.layout.switch},
            "nova_sys_admin": {"helper_command": helper},
            "vif_plug_ovs_privileged": {"helper_command": helper},
            "privsep_osbrick": {"helper_command": helper},
            **self.messaging(),
        }

    def console(self) -> dict[str, object]:
        """Where QEMU listens for the console's proxy; between hosts both ends prove who they are (VeNCrypt)."""
        if not self.ctx.cloud.moves:
            return {"server_listen": "127.0.0.1", "server_proxyclient_address": "127.0.0.1"}
        tls = self.ctx.layout.tls
        return {
            "server_listen": self.ctx.host.address,
            "server_proxyclient_address": self.ctx.host.address,
            "auth_schemes": ["vencrypt"],
            "vencrypt_client_key": tls / KEY,
            "vencrypt_client_cert": tls / CERTIFICATE,
            "vencrypt_ca_certs": tls / CA,
        }

    def migration(self) -> dict[str, object]:
        """Guests move encrypted; a busy one is slowed down, and in the end paused, rather than never to arrive.

        Post-copy needs userfaultfd, which an unprivileged QEMU may not use (vm.unprivileged_userfaultfd).
        """
        return {
            "live_migration_inbound_addr": self.ctx.host.address,
            "live_migration_scheme": "tls",
            "live_migration_with_native_tls": True,
            "live_migration_permit_auto_converge": True,
            "live_migration_completion_timeout": 120,  # seconds for each GiB
            "live_migration_timeout_action": "force_complete",
        }

    def cpu(self) -> dict[str, object]:
        """KVM shows guests the host's CPU; TCG a fixed model, so that guests move between hosts."""
        if Hypervisor.decided(self.ctx) == "kvm":
            return {"cpu_mode": "host-model"}
        return {"cpu_mode": "custom", "cpu_models": "Nehalem"}

    def files(self) -> list[File]:
        if not self.ctx.has_control_plane:
            return super().files()
        databases: Sections = {
            "database": {**self.database("nova")},
            "api_database": {**self.database("nova_api")},
        }
        return [*super().files(), self.config(databases, self.with_database)]

    def control_arguments(self) -> tuple[str, ...]:
        """Options for what may reach the databases."""
        return self.config_arguments(self.etc, self.with_database)

    def work(self) -> list[Step]:
        url = "{scheme}://{username}:{password}@{hostname}:{port}/"
        query = "?{query}"

        def create(report: object) -> None:
            manage(
                self.ctx,
                "nova.cmd.manage:main",
                "nova-manage",
                self.control_arguments(),
                [
                    ["api_db", "sync"],
                    ["cell_v2", "map_cell0", "--database_connection", f"{url}nova_cell0{query}"],
                    ["db", "sync"],
                ],
            )
            cells = [*apart(self.ctx, "nova-manage"), self.ctx.layout.bin("nova-manage")]
            cells += [*self.control_arguments(), "cell_v2"]
            if " cell1 " not in self.ctx.platform.run([*cells, "list_cells"]).stdout:
                cell = ["--name", "cell1", "--database_connection", f"{url}nova{query}"]
                broker = ["--transport-url", "{scheme}://{username}:{password}@{hostname}:{port}//"]
                self.ctx.platform.run([*cells, "create_cell", *cell, *broker])

        steps: list[Step] = [Hypervisor(self.ctx)] if self.ctx.does("compute") else []
        if self.ctx.has_control_plane:
            steps += [NoVNC(self.ctx), self.schema(create, "servers: databases and cells", 12)]
        return steps

    def services(self) -> list[Service]:
        control = self._control() if self.ctx.has_control_plane else []
        return [*control, *([self._compute()] if self.ctx.does("compute") else [])]

    def _compute(self) -> Service:
        return self.daemon(
            "nova-compute",
            ConnectedProbe((self.ctx.port("rabbitmq"),)),
            self.config_arguments(),
            title="hypervisor's agent (nova)",
            capabilities=ELEVATION,
            files=tuple(self.files())[:2],
            after=(
                "hypervisor",
                "libvirt-binding",
                "start:nova-conductor",
                "start:libvirtd",
                "start:placement",
                "accounts",
            ),
            stop_seconds=30,
            cost=5,
        )

    def _control(self) -> list[Service]:
        files = ";".join(
            (
                str(self.ctx.layout.env / "etc/nova/api-paste.ini"),
                *(str(path) for path in self.config_files(self.etc, self.with_database)),
            )
        )
        full = AllOf((ConnectedProbe((self.ctx.port("rabbitmq"), self.ctx.port("mariadb"))),))
        return [
            self.api(
                "nova-api",
                "nova.wsgi.osapi_compute:application",
                env={"OS_NOVA_CONFIG_FILES": files},
                after=("create:nova", "start:keystone", "start:rabbitmq"),
                cost=5,
            ),
            self.api(
                "nova-metadata",
                "nova.wsgi.metadata:application",
                env={"OS_NOVA_CONFIG_FILES": files},
                after=("create:nova", "start:rabbitmq"),
                title="servers' metadata (nova)",
                cost=5,
            ),
            self.daemon(
                "nova-conductor",
                full,
                self.control_arguments(),
                title="conductor (nova)",
                # It looks placement up in the catalogue as it starts, and ends when it is not there.
                after=("create:nova", "start:rabbitmq", "start:memcached", "start:placement", "accounts"),
            ),
            self.daemon(
                "nova-scheduler",
                full,
                self.control_arguments(),
                title="scheduler (nova)",
                after=("create:nova", "start:rabbitmq", "start:placement", "accounts"),
            ),
            self.daemon(
                "nova-novncproxy",
                TcpProbe(self.ctx.port("novnc"), host=self.ctx.listen),
                (*self.control_arguments(), "--web", str(NoVNC(self.ctx).pages)),
                title="consoles in the browser (noVNC)",
                after=("create:nova", "novnc", "start:rabbitmq"),
                cost=3,
            ),
            self.daemon(
                "nova-serialproxy",
                TcpProbe(self.ctx.port("serial"), host=self.ctx.listen),
                self.control_arguments(),
                title="serial consoles (nova)",
                after=("create:nova", "start:rabbitmq"),
                cost=3,
            ),
        ]
