"""What nova's services have in common, those of the control plane and those of a host that runs servers."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components.base.openstack import OpenStackComponent, Sections
from skerry.cloud.components.libvirt.component import CONSOLES, Libvirt
from skerry.cloud.components.libvirt.hypervisor import Hypervisor

# As oslo.log has them (DEFAULT_LOG_LEVELS of 8.3), for what the services use; and one more: at INFO the consoles' proxies
# write down each address that is asked for, and the token in it opens the console.
LOG_LEVELS = (
    *("amqp=WARN", "sqlalchemy=WARN", "oslo.messaging=INFO", "oslo_messaging=INFO", "iso8601=WARN"),
    *("requests.packages.urllib3.connectionpool=WARN", "urllib3.connectionpool=WARN", "websocket=WARN"),
    *("requests.packages.urllib3.util.retry=WARN", "urllib3.util.retry=WARN", "keystonemiddleware=WARN"),
    *("routes.middleware=WARN", "stevedore=WARN", "taskflow=WARN", "keystoneauth=WARN", "oslo.cache=INFO"),
    *("oslo_policy=INFO", "dogpile.core.dogpile=INFO", "nova.console.websocketproxy=WARNING"),
)


class NovaPart(OpenStackComponent):
    """Some of nova's services, with their own user and their own layers."""

    @property
    def instances(self) -> Path:
        """The folder of servers' disks on a host that runs them."""
        return self.ctx.layout.state / "nova/instances"

    def common(self) -> Sections:
        """What the services of the control plane and those that run servers have in common."""
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
                "instances_path": self.instances,
                "compute_driver": "libvirt.LibvirtDriver",
                "resume_guests_state_on_host_boot": True,
                "allow_resize_to_same_host": True,  # there may be no other
                "executor_thread_pool_size": 10,
                # A small machine has few cores, and small guests that mostly sleep; nova's own 4 stops at 8 servers.
                "initial_cpu_allocation_ratio": 16.0,
                "vif_plugging_timeout": 120,
                # Only then does it look for a libvirt that it has lost, and takes servers again (nova's own: 60 s).
                "update_resources_interval": 20,
                "mkisofs_cmd": "xorrisofs",
            },
            "service_user": {**self.login(), "send_service_user_token": True},
            "placement": self.regional_login(),
            "neutron": self.regional_login(),
            "glance": {"region_name": self.ctx.cloud.region},
            # Neutron's notifier holds this event for a second (send_events_interval); OVN is long done by then, and
            # a host without a live agent is refused before: neutron binds no port there.
            "compute": {"live_migration_wait_for_vif_plug": False},
            "conductor": {"workers": sizes.workers},
            "scheduler": {"workers": sizes.workers, "discover_hosts_in_cells_interval": 60},
            "vnc": {
                "enabled": True,
                **self.console(),
                "novncproxy_base_url": self.ctx.url("novnc", "/console.html"),
                "novncproxy_host": self.ctx.listen,
                "novncproxy_port": self.ctx.port("novnc"),
            },
            "serial_console": {
                "enabled": not self.ctx.cloud.moves,  # nothing would encrypt them on their way between hosts
                "base_url": f"ws://{self.ctx.listen}:{self.ctx.port('serial')}/",
                "proxyclient_address": "127.0.0.1",
                "port_range": f"{CONSOLES.number}:{CONSOLES.last}",
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
            **self.messaging(),
        }

    def console(self) -> dict[str, object]:
        """Where QEMU listens for the console's proxy."""
        address = self.ctx.host.address if self.ctx.cloud.moves else "127.0.0.1"
        return {"server_listen": address, "server_proxyclient_address": address}

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
