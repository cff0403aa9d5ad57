"""How the disks of a server that is off get to another host: nova copies them by SSH, as the service user.

An SSH server of the cloud's own, on a port of its own; who may log in, and which key is whose, comes from the control host.
"""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components.base.component import Component
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Step
from skerry.cloud.model.ports import Port
from skerry.cloud.steps.certificates import AUTHORIZED, KNOWN, SSH_KEY
from skerry.cloud.steps.machine import Login
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import SERVICE_USER, File, Service


class DiskCopies(Component):
    name = "copies"
    title = "copies of disks between hosts (SSH)"
    roles = ("compute",)
    packages = ("openssh-server", "openssh-client")
    ports = (Port("disk-copies", 16522, between_hosts=True),)

    @classmethod
    def runs_on(cls, ctx: Context) -> bool:
        return super().runs_on(ctx) and ctx.cloud.moves

    @property
    def configure_needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("machine", "packages", "certificates")

    def folders(self) -> dict[Path, str]:
        return {self.ctx.platform.sshd_folder: "root"}

    @property
    def client(self) -> Path:
        """Settings that every ssh on the host reads; they are for the service user's alone."""
        return self.ctx.platform.ssh_settings / "skerry.conf"

    def files(self) -> list[File]:
        tls = self.ctx.layout.tls
        server = f"""# Written by skerry.
ListenAddress {self.ctx.host.address}:{self.ctx.port("disk-copies")}
HostKey {tls / SSH_KEY}
AuthorizedKeysFile {tls / AUTHORIZED}
AllowUsers {SERVICE_USER}
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
Match localuser {SERVICE_USER}
    Port {self.ctx.port("disk-copies")}
    IdentityFile {tls / SSH_KEY}
    IdentitiesOnly yes
    UserKnownHostsFile {tls / KNOWN}
    StrictHostKeyChecking yes
    LogLevel ERROR
"""
        return [File(self.ctx.layout.etc / "copies/sshd_config", server), File(self.client, client)]

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
                user="root",
                files=(server,),
                after=("packages", "login"),
                cost=0.2,
            )
        ]
