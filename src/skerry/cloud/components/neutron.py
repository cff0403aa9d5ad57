"""neutron: networks, through OVN."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components.base.openstack import ELEVATION, OpenStackComponent, Sections
from skerry.cloud.config.option_source import COMMON, DAEMONS, OptionSource
from skerry.cloud.engine.step import Step
from skerry.cloud.model.catalogue import Endpoint
from skerry.cloud.model.ports import Port
from skerry.cloud.model.secrets import Secret
from skerry.cloud.model.users import GROUP, NETWORK
from skerry.cloud.steps.manage import manage
from skerry.cloud.supervise.probes import ConnectedSocketProbe, ListeningProbe, WorkersProbe
from skerry.cloud.supervise.service import File, Folder, Service

CONTEXTS = (
    "privsep",
    "privsep_dhcp_release",
    "privsep_ovs_vsctl",
    "privsep_namespace",
    "privsep_conntrack",
    "privsep_link",
)
# Of neutron's contexts (neutron/privileged), and what the metadata agent's proxies need to begin: they take port 80 in a
# namespace and become neutron's user.
HELPERS = (
    *("DAC_OVERRIDE", "DAC_READ_SEARCH", "NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE"),
    *("KILL", "NET_BIND_SERVICE"),
)

# neutron loads its policy with the first request, and denies whatever other threads ask meanwhile (403).
APPLICATION = "skerry_neutron_api"
LOADED = """# Written by skerry: neutron's API with its policy loaded before the first request.
from neutron import policy
from neutron.wsgi.api import application  # noqa: F401

policy.init()
"""

# With neutron's own default, openstacklocal, its DHCP hands no search domain out. '.internal' is reserved for private use.
DOMAIN = "skerry.internal"


class Neutron(OpenStackComponent):
    name = "neutron"
    title = "networks (neutron)"
    user = NETWORK
    options = OptionSource(
        (
            *("neutron", "neutron.*", "nova.auth", "ironic.auth", "placement.auth", "designate.auth"),
            *(*DAEMONS, *COMMON),
        ),
        ("neutron", "neutron_lib", "cotyledon"),
    )
    databases = {"neutron": ("neutron",)}
    roles = ("control", "compute")
    apis = (Port("neutron-api", 9696, shared=True),)
    endpoints = (Endpoint("neutron", "network", "neutron-api"),)
    account = shares_account = True
    secrets = (Secret("metadata-proxy", on_hosts=True),)  # nova's metadata API proves by it who asks
    tests = "neutron"
    panel = "/project/networks/"

    @property
    def agent(self) -> Path:
        """The folder of the metadata agent's own layer."""
        return self.etc / "metadata-agent"

    def folders(self) -> list[Folder]:
        own = [Folder(self.agent, group=self.user), Folder(self.state / "agent", self.user)]
        return [*super().folders(), *own]

    def ovn(self) -> dict[str, object]:
        servers = self.ctx.name_servers
        return {
            "ovn_nb_connection": f"unix:{self.ctx.layout.ovn_socket}",
            "ovn_sb_connection": self.ctx.southbound,
            "ovsdb_probe_interval": 60000,
            "ovn_metadata_enabled": True,
            "ovn_l3_scheduler": "leastloaded",
            "enable_distributed_floating_ip": self.distributed(),
            # OVN 24.03 and newer: a name that it knows has no IPv6 address if it knows of none; nobody else is asked.
            "dns_records_ovn_owned": True,
            **({"dns_servers": servers} if servers else {}),
        }

    def distributed(self) -> bool:
        """Whether each host passes its guests' floating addresses itself: all must reach the external network."""
        return all(host.external_interface or "network" in host.roles for host in self.ctx.cloud.computes)

    def settings(self) -> Sections:
        physical = sorted({provider.interface for provider in self.ctx.cloud.provider})
        return {
            "DEFAULT": {
                **self.logging(),
                **self.stopping(),
                "core_plugin": "ml2",
                "service_plugins": ["ovn-router", "qos", "trunk", "port_forwarding"],
                "dns_domain": DOMAIN,
                "transport_url": self.transport_url(),
                "host": self.ctx.host.name,
                "state_path": self.state,
                "auth_strategy": "keystone",
                "api_paste_config": self.ctx.layout.env / "etc/neutron/api-paste.ini",
                "rpc_workers": 0,  # OVN's agents do not speak RPC: neither neutron-rpc-server nor its queues are needed
                "rpc_state_report_workers": 0,
                "executor_thread_pool_size": 8,
                # Seconds; its own 2, and at least 1. So long it may hold 'network-vif-plugged' back, for which each
                # migration and each boot waits.
                "send_events_interval": 1,
            },
            "database": self.database(),
            "keystone_authtoken": self.token_check(),
            "nova": self.regional_login(),
            "placement": self.regional_login(),
            "ml2": {
                "type_drivers": ["flat", "vlan", "geneve", "local"],
                "project_network_types": ["geneve"],
                "mechanism_drivers": ["ovn"],
                "extension_drivers": ["port_security", "qos", "dns_domain_ports"],
                "overlay_ip_version": 4,
            },
            "ml2_type_flat": {"flat_networks": ["public", *physical]},
            # The whole range: an administrator may add others with 'network create --provider-segment'.
            "ml2_type_vlan": {"network_vlan_ranges": [f"{name}:1:4094" for name in physical]},
            "ml2_type_geneve": {"vni_ranges": "1:65536", "max_header_size": 38},
            "securitygroup": {"enable_security_group": True},
            "ovn": self.ovn(),
            "ovs": {"ovsdb_connection": self.ctx.layout.switch},
            **self.messaging(),
        }

    def agent_settings(self) -> Sections:
        helper = self.privileged_helper(self.agent)
        return {
            "DEFAULT": {
                **self.logging(),
                "host": self.ctx.host.name,
                "state_path": self.state / "agent",
                "nova_metadata_host": self.ctx.listen,
                "nova_metadata_port": self.ctx.port("nova-metadata"),
                "metadata_proxy_shared_secret": self.ctx.secrets["metadata-proxy"],
                "metadata_proxy_socket": self.run / "metadata_proxy",
                "metadata_proxy_user": self.user,
                # HAProxy keeps this group only, and with it gets through the cloud's folders to the agent's socket.
                "metadata_proxy_group": GROUP,
                "metadata_workers": 0,
            },
            "ovn": self.ovn(),
            "ovs": {"ovsdb_connection": self.ctx.layout.switch},
            "oslo_concurrency": {"lock_path": self.run},
            "AGENT": {"root_helper": " ".join(self.ctx.platform.become_root)},
            **{context: {"helper_command": helper} for context in CONTEXTS},
        }

    def files(self) -> list[File]:
        agent = self.config(self.agent_settings(), self.agent)
        if not self.ctx.has_control_plane:
            return [self.site_file(), agent]
        return [*super().files(), agent]

    def work(self) -> list[Step]:
        def create(report: object) -> None:
            options = self.config_arguments()
            manage(
                self.ctx,
                "neutron.db.migration.cli:main",
                "neutron-db-manage",
                options,
                [["upgrade", "heads"]],
            )

        return [self.schema(create, "networks: database", 12)] if self.ctx.has_control_plane else []

    def services(self) -> list[Service]:
        *own, site, agent = self.files()
        agents = [
            self.daemon(
                "neutron-ovn-metadata-agent",
                ListeningProbe(self.run / "metadata_proxy"),
                self.config_arguments(self.agent),
                title="metadata for guests (neutron)",
                capabilities=ELEVATION,
                helpers=HELPERS,
                files=(agent, site),
                after=("configure:neutron", "start:ovn-controller", "start:ovsdb"),
                keeps_children=True,
            ),
        ]
        if not self.ctx.does("compute"):
            agents = []
        return [*self._control((*own, site)), *agents] if self.ctx.has_control_plane else agents

    def _control(self, own: tuple[File, ...]) -> list[Service]:
        after = ("create:neutron", "start:rabbitmq", "start:ovn-ovsdb")
        return [
            self.api(
                "neutron-api",
                f"{APPLICATION}:application",
                env={"OS_NEUTRON_CONFIG_FILES": ";".join(str(path) for path in self.config_files())},
                lines=f"pythonpath = {self.etc}\n",
                files=(File(self.etc / f"{APPLICATION}.py", LOADED),),
                after=(*after, "start:keystone"),
                cost=6,
            ),
            self.daemon(
                "neutron-periodic-workers",
                WorkersProbe(),
                self.config_arguments(),
                title="periodic work (neutron)",
                files=own,
                after=after,
            ),
            self.daemon(
                "neutron-ovn-maintenance-worker",
                ConnectedSocketProbe(self.ctx.layout.ovn_socket),
                self.config_arguments(),
                title="OVN maintenance (neutron)",
                files=own,
                after=after,
            ),
        ]
