"""How other hosts reach the control plane: every service stays on loopback, and its port is on theirs too.

OVN's southbound database has a Unix socket in place of a port, here as there.

Between the hosts it travels by TLS that both ends prove by a certificate of the cloud's own authority. One port is
open on the control host. The client asks for SERVICE.HOST in its handshake (RFC 6066, SNI): the certificate must be
that host's, and the service one of these.
"""

from __future__ import annotations

from skerry.cloud.components import registry
from skerry.cloud.components.base.component import Component
from skerry.cloud.context import Context
from skerry.cloud.model.ports import Port
from skerry.cloud.model.users import OVN_CLIENTS, WEB
from skerry.cloud.steps.certificates import BOTH, CA, REVOKED, Certificates
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import File, Folder, Service

# A connection without traffic is ended after this: longer than any heartbeat of broker and OVN (60 s).
DEFAULTS = """
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    option clitcpka
    option srvtcpka
"""


def gateway(ctx: Context) -> str:
    """The control host's part of HAProxy's configuration."""
    lines = [
        f"defaults gateway\n    mode tcp\n    log global{DEFAULTS}",
        "frontend gateway",
        f"    bind {ctx.host.address}:{ctx.port('gateway')} {proof(ctx)}",
        "    use_backend gateway-%[ssl_fc_sni,field(1,.)]",
    ]
    for name, port in registry.shared_ports().items():
        place = f"unix@{ctx.layout.run / port.socket}" if port.socket else f"127.0.0.1:{port.number}"
        lines += [f"backend gateway-{name}", f"    server {name} {place}"]
    return "\n".join(lines) + "\n"


def proof(ctx: Context) -> str:
    """How either end shows who it is, and whom it takes: hosts of this cloud that have not left it."""
    tls = ctx.layout.tls
    return f"ssl crt {tls / BOTH} ca-file {tls / CA} crl-file {tls / REVOKED} verify required"


class GatewayLink(Component):
    """The other end, on a host without the control plane."""

    name = "link"
    title = "the way to the control host (HAProxy)"
    user = WEB
    packages = ("haproxy",)
    ports = (
        Port("gateway", 16643, between_hosts=True, clients=()),
    )  # on the control host, where other hosts reach its shared ports

    @classmethod
    def runs_on(cls, ctx: Context) -> bool:
        return not ctx.has_control_plane

    def folders(self) -> list[Folder]:
        # What is made in it has the folder's group: OVN's clients connect.
        return [Folder(self.ctx.layout.link, self.user, OVN_CLIENTS, 0o2750)]

    def files(self) -> list[File]:
        control = self.ctx.cloud.control_hosts[0]
        parts = [
            "# Written by skerry.\nglobal\n    maxconn 2000\n    nbthread 1\n    log stdout format raw daemon notice\n",
            f"defaults\n    mode tcp\n    log global{DEFAULTS}",
        ]
        for name, port in registry.shared_ports().items():
            there = f"{control.address}:{self.ctx.port('gateway')} {proof(self.ctx)}"
            socket = f"unix@{self.ctx.layout.link / name} mode 660"
            parts.append(
                f"listen {name}\n    bind {socket if port.socket else f'127.0.0.1:{port.number}'}\n"
                f"    server {name} {there} sni str({name}.{control.name})\n"
            )
        return [File(self.ctx.layout.etc / "haproxy/haproxy.cfg", "\n".join(parts))]

    def services(self) -> list[Service]:
        config = self.files()
        argv = (self.ctx.platform.program("haproxy"), "-W", "-db", "-f", str(config[0].path))
        return [
            Service(
                "link",
                argv,
                TcpProbe(self.ctx.port("rabbitmq")),
                title=self.title,
                user=self.user,
                files=(*config, *Certificates(self.ctx).files()),
                after=("packages",),
                cost=0.2,
            )
        ]
