"""How the disks of a server that is off get to another host: nova copies them by SSH, as nova-compute's user.

An SSH server of the cloud's own, on a port of its own, runs as this user, and so lets in nobody else. Which hosts may log
in, and which key is whose, comes from the control host.
"""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components.base.component import Component
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Step
from skerry.cloud.model.ports import Port
from skerry.cloud.model.users import COMPUTE
from skerry.cloud.steps.certificates import AUTHORIZED, KNOWN, SSH_KEY
from skerry.cloud.steps.machine import Login
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import File, Folder, Service


class DiskCopies(Component):
    name = "copies"
    title = "copies of disks between hosts (SSH)"
    user = COMPUTE
    roles = ("compute",)
    packages = ("openssh-server", "openssh-client")
    ports = (Port("disk-copies", 16522, between_hosts=True, clients=(COMPUTE,)),)

    @classmethod
    def runs_on(cls, ctx: Context) -> bool:
        return super().runs_on(ctx) and ctx.cloud.moves

    @property
    def configure_needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("machine", "packages", "certificates")

    def folders(self) -> list[Folder]:
        return [Folder(self.ctx.platform.sshd_folder, mode=0o755)]

    @property
    def client(self) -> Path:
        """Settings that every ssh on the host reads; they are for nova-compute's user alone."""
        return self.ctx.platform.ssh_settings / "skerry.conf"

    def files(self) -> list[File]:
        tls = self.ctx.layout.tls
        server = f"""# Written by skerry.
ListenAddress {self.ctx.host.address}:{self.ctx.port("disk-copies")}
HostKey {tls / SSH_KEY}
AuthorizedKeysFile {tls / AUTHORIZED}
AllowUsers {self.user}
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitTTY no
AllowTcpForwarding no
AllowStreamLocalForwarding no
X11Forwarding no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
"""
        client = f"""# Written by skerry.
Match localuser {self.user}
    Port {self.ctx.port("disk-copies")}
    IdentityFile {tls / SSH_KEY}
    IdentitiesOnly yes
    UserKnownHostsFile {tls / KNOWN}
    StrictHostKeyChecking yes
    LogLevel ERROR
"""
        key = self.ctx.platform.read(tls / SSH_KEY) or ""
        return [
            File(self.ctx.layout.etc / "copies/sshd_config", server),
            File(self.client, client),
            File(tls / SSH_KEY, key, secret=True),
        ]

    def work(self) -> list[Step]:
        return [Login(self.ctx)]

    def services(self) -> list[Service]:
        server, sshd = self.files()[0], self.ctx.platform.program("sshd")
        return [
            Service(
                "copies",
                # sshd writes its title over its environment, by which we know our processes: the shell stays its parent.
                ("/bin/sh", "-c", f"{sshd} -D -e -f {server.path}; exit $?"),
                TcpProbe(self.ctx.port("disk-copies"), host=str(self.ctx.host.address), greeting=True),
                title=self.title,
                user=self.user,
                files=(server,),
                after=("packages", "login"),
                cost=0.2,
            )
        ]
