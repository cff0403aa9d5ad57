"""How other hosts reach the control plane: every service stays on loopback, and its port is on theirs too.

Between the hosts it travels by TLS that both ends prove by a certificate of the cloud's own authority. One port is
open on the control host. The client asks for SERVICE.HOST in its handshake (RFC 6066, SNI): the certificate must be
that host's, and the service one of these.
"""

from __future__ import annotations

from skerry.cloud.components import registry
from skerry.cloud.components.base.component import Component
from skerry.cloud.context import Context
from skerry.cloud.model.ports import Port
from skerry.cloud.steps.certificates import BOTH, CA, Certificates
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import File, Service

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
    tls = ctx.layout.tls
    lines = [
        f"defaults gateway\n    mode tcp\n    log global{DEFAULTS}",
        "frontend gateway",
        f"    bind {ctx.host.address}:{ctx.port('gateway')} ssl crt {tls / BOTH} ca-file {tls / CA} verify required",
        "    use_backend gateway-%[ssl_fc_sni,field(1,.)]",
    ]
    for name, port in registry.shared_ports().items():
        lines += [f"backend gateway-{name}", f"    server {name} 127.0.0.1:{port}"]
    return "\n".join(lines) + "\n"


class GatewayLink(Component):
    """The other end, on a host without the control plane."""

    name = "link"
    title = "the way to the control host (HAProxy)"
    packages = ("haproxy",)
    ports = (
        Port("gateway", 16643, between_hosts=True),
    )  # on the control host, where other hosts reach its shared ports

    @classmethod
    def runs_on(cls, ctx: Context) -> bool:
        return not ctx.has_control_plane

    def files(self) -> list[File]:
        tls, control = self.ctx.layout.tls, self.ctx.cloud.control_hosts[0]
        parts = [
            "# Written by skerry.\nglobal\n    maxconn 2000\n    nbthread 1\n    log stdout format raw daemon notice\n",
            f"defaults\n    mode tcp\n    log global{DEFAULTS}",
        ]
        for name, port in registry.shared_ports().items():
            there = f"{control.address}:{self.ctx.port('gateway')} ssl crt {tls / BOTH} ca-file {tls / CA} verify required"
            parts.append(
                f"listen {name}\n    bind 127.0.0.1:{port}\n"
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
                TcpProbe(self.ctx.port("ovn-southbound")),
                title=self.title,
                files=(*config, *Certificates(self.ctx).files()),
                after=("packages",),
                cost=0.2,
            )
        ]
