"""HAProxy in front of all APIs."""

from __future__ import annotations

from skerry.cloud.components import registry
from skerry.cloud.components.base.component import Component
from skerry.cloud.components.haproxy.gateway import gateway
from skerry.cloud.model.users import GROUP, WEB
from skerry.cloud.steps.certificates import Certificates
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import File, Folder, Service

# Where one logs in, by API: its path, what is counted for a source over a minute, and how many are let pass.
# keystone refuses with 401; the dashboard answers with its form again.
LOGINS = {
    "keystone": ("/v3/auth/tokens", "http_err_rate", 30),
    "horizon": ("/auth/login", "http_req_rate", 30),
}

# Where one logs in, by API: its path, what is counted for a source over a minute, and how many are let pass.
# keystone refuses with 401; the dashboard answers with its form again.
LOGINS = {
    "keystone": ("/v3/auth/tokens", "http_err_rate", 30),
    "horizon": ("/auth/login", "http_req_rate", 30),
}

# How a front deals with its clients, and with an API that restarts.
HEAD = """# Written by skerry.
global
    maxconn 2000
    nbthread 1
    log stdout format raw daemon notice

defaults
    mode http
    log global
    option http-server-close
    option redispatch
    option forwardfor
    # An API that restarts is waited for: 10 tries, a second apart, before a client sees an error.
    retries 10
    retry-on conn-failure
    timeout connect 10s
    timeout client 300s
    timeout server 300s
    # An API gets a request when it is whole (or as much as fits a buffer): who sends it slowly holds none of its threads.
    option http-buffer-request
    timeout http-request 20s
    timeout http-keep-alive 60s
"""


class HAProxy(Component):
    """The front of all APIs: keeps clients' connections, waits while an API restarts, later ends TLS."""

    name = "haproxy"
    title = "the front of the APIs (HAProxy)"
    user = WEB
    packages = ("haproxy",)

    def folders(self) -> list[Folder]:
        return [Folder(self.ctx.layout.run / "api", group=GROUP, mode=0o710)]

    def files(self) -> list[File]:
        parts = [HEAD]
        apis = {port.name: port.number for part in registry.in_cloud(self.ctx) for port in part.apis}
        for name, port in sorted(apis.items()):
            socket = self.ctx.layout.api_socket(name)
            parts.append(
                f"listen {name}\n    bind {self.ctx.listen}:{port}\n{self._login_limit(name)}"
                f"    server {name} unix@{socket} maxconn 64\n"
            )
        if self.ctx.cloud.others:
            parts.append(gateway(self.ctx))
        return [File(self.ctx.layout.etc / "haproxy/haproxy.cfg", "\n".join(parts))]

    def _login_limit(self, api: str) -> str:
        """Who tries one password after the other from another machine waits; programs here are the cloud's own."""
        if api not in LOGINS:
            return ""
        path, counter, most = LOGINS[api]
        return f"""    stick-table type ip size 100k expire 1m store {counter}(1m)
    acl login path_beg {path}
    acl here src 127.0.0.0/8 {self.ctx.host.address}
    http-request track-sc0 src if METH_POST login !here
    http-request deny deny_status 429 if METH_POST login !here {{ sc_{counter}(0) gt {most} }}
"""

    def services(self) -> list[Service]:
        config = self.files()
        argv = (self.ctx.platform.program("haproxy"), "-W", "-db", "-f", str(config[0].path))
        probe = TcpProbe(self.ctx.port("keystone"), host=self.ctx.listen)
        files = (*config, *(Certificates(self.ctx).files() if self.ctx.cloud.others else ()))
        return [
            Service(
                "haproxy",
                argv,
                probe,
                title=self.title,
                user=self.user,
                files=files,
                after=("packages",),
                cost=0.2,
            )
        ]

    @property
    def configure_needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("machine", *(("certificates",) if self.ctx.cloud.others else ()))
