"""libvirt and QEMU as a private instance."""

from __future__ import annotations

import uuid
from pathlib import Path

from skerry.cloud.components.base.component import Component
from skerry.cloud.components.libvirt.hypervisor import QEMU, Hypervisor
from skerry.cloud.components.openvswitch.component import OpenVSwitch
from skerry.cloud.model.ports import Port
from skerry.cloud.model.users import COMPUTE, GROUP, GUEST, ROOT, SERVERS
from skerry.cloud.steps.certificates import CA, CERTIFICATE, KEY, REVOKED
from skerry.cloud.supervise.probes import CommandProbe, UnixProbe
from skerry.cloud.supervise.service import OOM_GUEST, File, Folder, Service
from skerry.common.accelerator import KVM

FAULTS = Path("/dev/userfaultfd")  # whoever may open it may handle its own page faults; post-copy takes that
# Of guests, for nova's proxies. QEMU has no word from them that they are these: others are kept from the ports.
SCREENS = Port("screens", 15900, last=16199, clients=(SERVERS,))  # VNC
CONSOLES = Port("serial-ports", 16700, last=16999, clients=(SERVERS,))


class Libvirt(Component):
    name = "libvirt"
    title = "the hypervisor (libvirt, QEMU)"
    user = ROOT  # it makes namespaces and interfaces, and becomes guests' user; QEMU itself is guests' user's
    roles = ("compute",)
    ports = (
        Port(
            "libvirt", 16514, between_hosts=True, clients=()
        ),  # other hosts' libvirt asks for a guest to be taken
        SCREENS,
        CONSOLES,
    )
    packages = (
        *("python3-libvirt", "xorriso", "openssh-client", "e2fsprogs"),
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
            *(((self._pki, Path("/etc/pki")),) if self.ctx.cloud.moves else ()),
            *(((self._no_kvm, KVM),) if self._kvm_is_useless() else ()),
        )

    @property
    def _pki(self) -> Path:
        """Certificates under the names that libvirt and QEMU look for."""
        return self.ctx.layout.etc / "libvirt/pki"

    def _certificates(self) -> list[File]:
        read, tls = self.ctx.platform.read, self.ctx.layout.tls
        names = (CA, REVOKED, CERTIFICATE, KEY)
        authority, revoked, certificate, key = (read(tls / name) or "" for name in names)
        files = [File(self._pki / "CA/cacert.pem", authority), File(self._pki / "CA/cacrl.pem", revoked)]
        for end in ("client", "server"):
            files += [
                File(self._pki / f"libvirt/{end}cert.pem", certificate),
                File(self._pki / f"libvirt/private/{end}key.pem", key, roots=True),
                File(self._pki / f"qemu/{end}-cert.pem", certificate),
                File(self._pki / f"qemu/{end}-key.pem", key, secret=True, owner=GUEST),
            ]
        return [
            *files,
            File(self._pki / "qemu/ca-cert.pem", authority),
            File(self._pki / "qemu/ca-crl.pem", revoked),
        ]

    @property
    def _no_kvm(self) -> Path:
        return self.ctx.layout.etc / "libvirt/no-kvm"

    def _kvm_is_useless(self) -> bool:
        """A /dev/kvm that boots no guest is hidden: libvirt would probe QEMU again, for 30 s, at each server's start."""
        return KVM.exists() and Hypervisor.decided(self.ctx) == "qemu"

    def _programs(self) -> Path:
        """Where libvirt looks for QEMU first, with the datapath in userspace: a script without checksum offload.

        That datapath reads packets as the guest left them, and a checksum that is still to be filled in counts as
        wrong in its connection tracking: no TCP of a guest would pass. Nova has no option for it.
        """
        return self.ctx.layout.etc / "libvirt/bin"

    def users(self) -> tuple[str, ...]:
        return (GUEST, COMPUTE)

    def folders(self) -> list[Folder]:
        layout = self.ctx.layout
        return [
            *(Folder(place / "libvirt", group=GUEST) for place in (layout.etc, layout.state, layout.cache)),
            # nova-compute's way to libvirt's socket, and guests' to the sockets of their agents.
            Folder(layout.run / "libvirt", group=GROUP, mode=0o710),
            Folder(layout.log / "libvirt"),
        ]

    @property
    def uri(self) -> str:
        return f"qemu+unix:///system?socket={self.ctx.layout.run}/libvirt/libvirt-sock"

    def virsh(self, *words: str, timeout: float = 30) -> str:
        """What virsh prints, asked of this cloud's own libvirt. Raises CommandError."""
        return self.ctx.platform.run(["virsh", "--connect", self.uri, "-q", *words], timeout=timeout).stdout

    def files(self) -> list[File]:
        etc = self.ctx.layout.etc / "libvirt"
        host_uuid = uuid.uuid5(uuid.NAMESPACE_DNS, f"libvirt.{self.ctx.host.name}.{self.ctx.cloud.name}")
        return [
            File(
                etc / "libvirtd.conf",
                f"""# Written by skerry.
{self._listening()}listen_tcp = 0
unix_sock_group = "{COMPUTE}"
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
user = "{GUEST}"
group = "{GUEST}"
security_driver = "none"
namespaces = []
cgroup_controllers = []
# A guest's files are its user's while it runs, and nova's again (remembered in an extended attribute) when it has ended.
dynamic_ownership = 1
remember_owner = 1
vnc_listen = "127.0.0.1"
remote_display_port_min = {SCREENS.number}
remote_display_port_max = {SCREENS.last}
max_core = 0
{self._migrating()}""",
            ),
            File(
                self._programs() / QEMU,
                f"""#!/bin/sh
# Written by skerry: guests must not leave checksums to a userspace switch that does not fill them in.
exec {self.ctx.platform.program(QEMU)} -global virtio-net-device.csum=off "$@"
""",
                executable=True,
            ),
            File(self._no_kvm, "", roots=True),
            File(etc / "virtlogd.conf", "# Written by skerry.\nmax_size = 1048576\nmax_backups = 1\n"),
            File(
                etc / "hooks/qemu",
                f"""#!/bin/sh
# Written by skerry.
[ "$2" = started ] || exit 0
# Busy guests must not slow the services down that manage them. Linux shares the processors between sessions first
# (sched(7), autogroup), and each guest is one, as all services together are, which have -5: nine times a guest's share.
pid=$(cat "/run/libvirt/qemu/$1.pid")
[ -e "/proc/$pid/autogroup" ] && echo 5 >"/proc/$pid/autogroup"
renice -n 10 -p $(ls "/proc/$pid/task") >/dev/null
# When memory has run out a guest ends, and not what all guests need.
echo {OOM_GUEST} >"/proc/$pid/oom_score_adj"
""",
                executable=True,
            ),
            *(self._certificates() if self.ctx.cloud.moves else []),
        ]

    def _listening(self) -> str:
        if not self.ctx.cloud.moves:
            return "listen_tls = 0\n"
        return f"""listen_tls = 1
listen_addr = "{self.ctx.host.address}"
tls_port = "{self.ctx.port("libvirt")}"
# Whoever has a certificate of this cloud's authority, which is not revoked, is one of its hosts.
auth_tls = "none"
"""

    def _migrating(self) -> str:
        if not self.ctx.cloud.moves:
            return ""
        return f"""migration_address = "{self.ctx.host.address}"
migration_host = "{self.ctx.host.address}"
default_tls_x509_cert_dir = "/etc/pki/qemu"
default_tls_x509_verify = 1
vnc_tls = 1
"""

    @property
    def configure_needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("machine", *(("certificates",) if self.ctx.cloud.moves else ()))

    def services(self) -> list[Service]:
        run = self.ctx.layout.run / "libvirt"
        files = tuple(self.files())
        in_userspace = self.ctx.platform.network.datapath == "netdev"
        guards = ("start:ovs-guestports",) if in_userspace else ()
        path = {"PATH": f"{self._programs()}:{self.ctx.platform.path}"} if in_userspace else {}
        log = Service(
            "virtlogd",
            (self.ctx.platform.program("virtlogd"),),
            UnixProbe(run / "virtlogd-sock"),
            title="consoles' logs (virtlogd)",
            user=ROOT,
            capabilities=("DAC_OVERRIDE",),  # it writes where nova and guests do
            binds=self.binds()[:6],
            files=(files[4],),
            after=("packages",),
            cost=0.2,
        )
        daemon = Service(
            "libvirtd",
            (self.ctx.platform.program("libvirtd"), *(("--listen",) if self.ctx.cloud.moves else ())),
            CommandProbe(("virsh", "--connect", self.uri, "version"), "libvirt"),
            title=self.title,
            user=ROOT,
            binds=self.binds(),
            env={**OpenVSwitch(self.ctx).environment(), **path},
            files=(*files[:3], *files[5:]),
            after=("packages", "hypervisor", "start:virtlogd", "start:ovsdb", *guards),
            devices=((FAULTS, GUEST),) if self.ctx.cloud.moves else (),
            hostname=self.ctx.host.name,  # nova takes a libvirt that is called otherwise for another host
            keeps_children=True,
            cost=1.0,
        )
        return [log, daemon]
