"""How guests report to heat that they are ready: the one API open to them, at the host's end of the external network.

They reach what signals need and nothing else. A signal is signed (EC2 signature version 2) or carries a token, both of a
user that heat made for that one resource.
"""

from __future__ import annotations

from skerry.cloud.components.base.component import Component
from skerry.cloud.components.haproxy.component import HEAD
from skerry.cloud.components.openvswitch.external_network import ExternalNetwork
from skerry.cloud.context import Context
from skerry.cloud.model.ports import Port
from skerry.cloud.model.users import WEB
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import File, Service

PORT = Port("heat-signals", 8003, guests=True)


def base(ctx: Context, otherwise: str) -> str:
    """Where guests reach heat. ``otherwise`` is the API's port where they have no way to this host."""
    end = ctx.cloud.external.end if ctx.does("network") else None
    return f"http://{end.ip}:{PORT.number}" if end else ctx.url(otherwise)


class HeatSignals(Component):
    """A front of its own: HAProxy of the APIs starts long before there is an external network."""

    name = "heat-signals"
    title = "guests' way to heat (HAProxy)"
    user = WEB
    packages = ("haproxy",)
    feature = "heat"
    ports = (PORT,)

    @classmethod
    def runs_on(cls, ctx: Context) -> bool:
        return super().runs_on(ctx) and ctx.does("network") and ctx.cloud.external.end is not None

    def files(self) -> list[File]:
        end = self.ctx.cloud.external.end
        assert end
        socket = self.ctx.layout.api_socket
        text = f"""{HEAD}
frontend {self.name}
    bind {end.ip}:{PORT.number}
    # All guests of a router have its address.
    stick-table type ip size 100k expire 1m store http_req_rate(1m)
    http-request track-sc0 src
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 600 }}
    # A stack may hold stacks: the engine asks the API here, too.
    acl here src {end.ip} 127.0.0.0/8
    acl stacks path_reg ^/v1/[0-9a-f]{{32}}/
    acl signal path_end /signal
    http-request deny if stacks !signal !here
    http-request deny unless stacks or {{ path_beg /v1 }}
    use_backend heat-api if stacks
    default_backend heat-api-cfn

backend heat-api
    server heat-api unix@{socket("heat-api")} maxconn 16

backend heat-api-cfn
    server heat-api-cfn unix@{socket("heat-api-cfn")} maxconn 16
"""
        return [File(self.ctx.layout.etc / "haproxy/signals.cfg", text)]

    def services(self) -> list[Service]:
        (config,) = self.files()
        end = self.ctx.cloud.external.end
        assert end
        return [
            Service(
                self.name,
                (self.ctx.platform.program("haproxy"), "-W", "-db", "-f", str(config.path)),
                TcpProbe(PORT.number, host=str(end.ip)),
                title=self.title,
                user=self.user,
                files=(config,),
                after=("packages", ExternalNetwork.name, "start:heat-api-cfn"),
                cost=0.2,
            )
        ]
