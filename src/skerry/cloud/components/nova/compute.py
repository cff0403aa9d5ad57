"""nova-compute: runs servers on a host. Its user alone talks to libvirt, and it reads nothing of nova's other services."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components.base.openstack import ELEVATION, Sections
from skerry.cloud.components.libvirt.hypervisor import Hypervisor
from skerry.cloud.components.nova import reserved
from skerry.cloud.components.nova.base import NovaPart
from skerry.cloud.components.nova.component import Nova
from skerry.cloud.config import ini
from skerry.cloud.engine.step import Step
from skerry.cloud.model.users import COMPUTE, GROUP, GUEST, ROOT
from skerry.cloud.supervise.probes import ConnectedProbe
from skerry.cloud.supervise.service import File, Folder, Service

# Of nova's context (nova/privsep), and those of os-vif and os-brick, which are among them.
HELPERS = ("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "NET_ADMIN", "SYS_ADMIN")
CONTEXTS = ("nova_sys_admin", "vif_plug_ovs_privileged", "privsep_osbrick")
COPY = "site.conf"  # of the operator's layer, for this user


class NovaCompute(NovaPart):
    name = "nova-compute"
    title = "hypervisor's agent (nova)"
    part_of = "nova"
    user = COMPUTE
    roles = ("compute",)
    caches = False
    configure_needs = ("machine", "hypervisor")

    @classmethod
    def site_files(cls) -> tuple[str, ...]:
        return Nova.site_files()

    @property
    def state(self) -> Path:
        return self.ctx.layout.state / "nova"

    @property
    def _operators(self) -> Path:
        return self.ctx.layout.etc / "nova" / ini.SITE

    def folders(self) -> list[Folder]:
        alone = [] if self.ctx.has_control_plane else [Folder(self._operators.parent)]
        return [
            Folder(self.etc, group=self.user),
            Folder(self.run, self.user),
            Folder(self.tmp.parent, group=GROUP, mode=0o710),
            Folder(self.tmp, self.user, mode=0o700),
            Folder(self.state, self.user, GROUP, 0o710),  # guests pass through it to their disks
            # What nova makes in it guests may read, and write what libvirt gives them.
            Folder(self.instances, self.user, GUEST, 0o2750),
            # Not so here: of a snapshot's own folder nova gives the right to pass to others, not to its group.
            Folder(self.snapshots, self.user, GUEST, 0o710),
            *alone,
        ]

    def irreplaceable(self) -> dict[Path, str]:
        # Without it a host that is on record may not start again.
        return {self.state / "compute_id": self.user}

    @property
    def snapshots(self) -> Path:
        return self.state / "snapshots"

    def settings(self) -> Sections:
        settings = self.common()
        settings["DEFAULT"] |= {
            "reserved_host_memory_mb": reserved.memory_mib(self.ctx),
            "reserved_host_disk_mb": reserved.disk_mib(self.instances, self.etc / ini.OURS),
        }
        settings["libvirt"] |= {"snapshots_directory": self.snapshots}
        settings["os_vif_ovs"] = {"ovsdb_connection": self.ctx.layout.switch}
        return settings | {context: {"helper_command": self.privileged_helper()} for context in CONTEXTS}

    def config_files(self, *folders: Path) -> list[Path]:
        return [self.etc / ini.OURS, self.etc / COPY]

    def files(self) -> list[File]:
        site = Nova(self.ctx).site_file()
        own = [self.config(self.settings()), File(self.etc / COPY, site.content, secret=True)]
        alone = [] if self.ctx.has_control_plane else [File(site.path, site.content, secret=True, owner=ROOT)]
        return [*own, *alone]

    def work(self) -> list[Step]:
        return [Hypervisor(self.ctx)]

    def services(self) -> list[Service]:
        return [
            self.daemon(
                "nova-compute",
                ConnectedProbe((self.ctx.port("rabbitmq"),)),
                self.config_arguments(),
                title=self.title,
                capabilities=ELEVATION,
                helpers=HELPERS,
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
        ]
