"""libvirt and QEMU as a private instance."""

from __future__ import annotations

import uuid
from pathlib import Path

from skerry.cloud.probes import CommandProbe, UnixProbe
from skerry.cloud.roles.base import Role
from skerry.cloud.roles.network import OpenVSwitch, datapath
from skerry.cloud.service import SERVICE_USER, File, Service

QEMU = Path("/usr/bin/qemu-system-x86_64")


class Libvirt(Role):
    name = "libvirt"
    title = "the hypervisor (libvirt, QEMU)"
    packages = ("python3-libvirt", "xorriso", "openssh-client")
    backports = (
        "libvirt-daemon",
        "libvirt-daemon-common",
        "libvirt-daemon-log",
        "libvirt-daemon-driver-qemu",
        "libvirt-clients",
        "qemu-system-x86",
        "qemu-utils",
    )

    # libvirt's folders are compiled in: in its mount namespace they are ours.
    def binds(self) -> tuple[tuple[Path, Path], ...]:
        layout = self.ctx.layout
        return (
            (layout.etc / "libvirt", Path("/etc/libvirt")),
            (layout.state / "libvirt", Path("/var/lib/libvirt")),
            (layout.run / "libvirt", Path("/run/libvirt")),
            (layout.cache / "libvirt", Path("/var/cache/libvirt")),
            (layout.log / "libvirt", Path("/var/log/libvirt")),
            (layout.run / "ovs", Path("/run/openvswitch")),
            *(self._qemu_in_front() if datapath() == "netdev" else ()),
        )

    def _qemu_in_front(self) -> tuple[tuple[Path, Path], ...]:
        """QEMU without checksum offload, for the datapath in userspace.

        That one reads packets as the guest left them, and a checksum that is still to be filled in counts as
        wrong in its connection tracking: no TCP of a guest would pass. Nova has no option for it, so libvirt sees
        a script in QEMU's place, which adds one to the command line. QEMU looks for its firmware from where it
        lies, hence all of /usr beside it.
        """
        return (Path("/usr"), self._usr), (self.ctx.layout.etc / "libvirt" / QEMU.name, QEMU)

    @property
    def _usr(self) -> Path:
        return self.ctx.layout.run / "usr"

    def folders(self) -> dict[Path, str]:
        return {source: "root" for source, _ in self.binds() if source.name == "libvirt"} | {self._usr: "root"}

    @property
    def uri(self) -> str:
        return f"qemu+unix:///system?socket={self.ctx.layout.run}/libvirt/libvirt-sock"

    def files(self) -> list[File]:
        etc = self.ctx.layout.etc / "libvirt"
        host_uuid = uuid.uuid5(uuid.NAMESPACE_DNS, f"libvirt.{self.ctx.host.name}.{self.ctx.cloud.name}")
        return [
            File(
                etc / "libvirtd.conf",
                f"""# Written by skerry.
listen_tls = 0
listen_tcp = 0
unix_sock_group = "{SERVICE_USER}"
unix_sock_ro_perms = "0770"
unix_sock_rw_perms = "0770"
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "{host_uuid}"
max_workers = 10
min_workers = 3
log_level = 3
""",
            ),
            File(
                etc / "qemu.conf",
                f"""# Written by skerry.
user = "{SERVICE_USER}"
group = "{SERVICE_USER}"
security_driver = "none"
namespaces = []
cgroup_controllers = []
remember_owner = 0
vnc_listen = "127.0.0.1"
max_core = 0
""",
            ),
            File(
                etc / QEMU.name,
                f"""#!/bin/sh
# Written by skerry: guests must not leave checksums to a userspace switch that does not fill them in.
exec {self._usr}/bin/{QEMU.name} -global virtio-net-device.csum=off "$@"
""",
                executable=True,
            ),
            File(etc / "virtlogd.conf", "# Written by skerry.\nmax_size = 1048576\nmax_backups = 1\n"),
        ]

    def services(self) -> list[Service]:
        run = self.ctx.layout.run / "libvirt"
        files = tuple(self.files())
        log = Service(
            "virtlogd",
            ("/usr/sbin/virtlogd",),
            UnixProbe(run / "virtlogd-sock"),
            title="consoles' logs (virtlogd)",
            user="root",
            binds=self.binds(),
            files=(files[3],),
            after=("packages",),
            cost=0.2,
        )
        daemon = Service(
            "libvirtd",
            ("/usr/sbin/libvirtd",),
            CommandProbe(("virsh", "--connect", self.uri, "version"), "libvirt"),
            title=self.title,
            user="root",
            binds=self.binds(),
            env=OpenVSwitch(self.ctx).environment(),
            files=files[:3],
            after=("packages", "start:virtlogd", "start:ovsdb"),
            keeps_children=True,
            cost=1.0,
        )
        return [log, daemon]
