"""What all OpenStack services share: sections of their configuration, and how their APIs are served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from skerry.cloud.components.base.component import Component
from skerry.cloud.config import ini
from skerry.cloud.engine.step import Step
from skerry.cloud.model.users import GROUP, WEB
from skerry.cloud.steps.database import Schema
from skerry.cloud.steps.valid_options import ValidConfiguration
from skerry.cloud.supervise.probes import HttpProbe, Probe
from skerry.cloud.supervise.service import File, Folder, Service

ELEVATION = ("SETUID", "SETGID")  # what a service needs to start its privileged helpers
Sections = dict[str, dict[str, object]]
# Python imports this module by its name as it starts.
FREEZE = """# Written by skerry: a collection in a worker must not write into all the pages that it shares with its master.
import gc
import os

os.register_at_fork(before=gc.freeze)
"""
PLAIN = (
    str,
    int,
    float,
    bool,
    list,
    tuple,
    dict,
)  # what an ini file takes as it is; paths and addresses are text


class OpenStackComponent(Component):
    """A service of OpenStack. Its folder has 00-skerry.conf (ours) and 50-site.conf (the operator's)."""

    caches = True
    part_of: str = ""  # the service whose account and options it has, where that is not its own name

    @property
    def whole(self) -> str:
        """The service that it is, or is a part of, as keystone and the schema of options call it."""
        return self.part_of or self.name

    @classmethod
    def site_files(cls) -> tuple[str, ...]:
        return (f"{cls.name}/{ini.SITE}",)

    @property
    def etc(self) -> Path:
        return self.ctx.layout.etc / self.name

    @property
    def state(self) -> Path:
        return self.ctx.layout.state / self.name

    @property
    def run(self) -> Path:
        return self.ctx.layout.run / self.name

    @property
    def tmp(self) -> Path:
        """Where its services write temporary files."""
        return self.ctx.layout.state / "tmp" / self.name

    def folders(self) -> list[Folder]:
        apis = [port.name for port in self.apis] if self.ctx.has_control_plane else []
        return [
            Folder(self.state, self.user),
            Folder(self.etc, group=self.user),
            Folder(self.run, self.user),
            Folder(self.tmp.parent, group=GROUP, mode=0o710),
            Folder(self.tmp, self.user, mode=0o700),
            # Who listens there is the API, and who connects is HAProxy: what is made in it has the folder's group.
            *(Folder(self.ctx.layout.api_socket(name).parent, self.user, WEB, 0o2750) for name in apis),
        ]

    def settings(self) -> Sections:
        """The sections of 00-skerry.conf."""
        raise NotImplementedError(self.name)

    def config_files(self, *folders: Path) -> list[Path]:
        """The layers in the order in which they are read: ours before the operator's."""
        return [*(folder / ini.OURS for folder in folders or (self.etc,)), self.etc / ini.SITE]

    def config_arguments(self, *folders: Path) -> tuple[str, ...]:
        """``--config-file`` for each layer."""
        return tuple(word for path in self.config_files(*folders) for word in ("--config-file", str(path)))

    def config(self, settings: Sections, folder: Path | None = None) -> File:
        plain = {
            section: {
                name: value if isinstance(value, PLAIN) else str(value) for name, value in options.items()
            }
            for section, options in settings.items()
        }
        return File((folder or self.etc) / ini.OURS, ini.render(plain), secret=True)

    def site(self, name: str, about: str) -> File:
        """The operator's layer as it is: a change of it restarts the services too."""
        text = self.ctx.platform.read(self.etc / name)
        return File(
            self.etc / name, f"# {about} Then run 'skerry up'.\n" if text is None else text, secret=True
        )

    def files(self) -> list[File]:
        return [self.config(self.settings()), self.site_file()]

    def site_file(self) -> File:
        """The operator's 50-site.conf."""
        return self.site(ini.SITE, f"Yours: options here win over those in {self.etc}/{ini.OURS}.")

    def steps(self) -> list[Step]:
        """Nothing of this component is created or started with options that a service would refuse."""
        steps = super().steps()
        for step in steps:
            if step.name.startswith(("create:", "start:")):
                step.needs = (*step.needs, ValidConfiguration.name)
        return steps

    # -- sections ---------------------------------------------------------------------------------------

    def database(self, name: str | None = None) -> dict[str, object]:
        password = self.ctx.secrets[f"db-{self.name}"]
        address = f"127.0.0.1:{self.ctx.port('mariadb')}"
        return {
            "connection": f"mysql+pymysql://{self.name}:{password}@{address}/{name or self.name}?charset=utf8",
            "max_pool_size": 5,
            "max_overflow": 14,
            "connection_recycle_time": 280,
            "max_retries": -1,
        }

    def logging(self) -> dict[str, object]:
        return {"use_stderr": True, "debug": False}

    def stopping(self) -> dict[str, object]:
        """For services that are not APIs: how long they may finish what they are at (seconds)."""
        return {"graceful_shutdown_timeout": 5}

    def transport_url(self) -> str:
        return f"rabbit://openstack:{self.ctx.secrets['rabbitmq']}@127.0.0.1:{self.ctx.port('rabbitmq')}//"

    def messaging(self) -> Sections:
        """Quorum queues and streams from the first day: changing their types later means an outage."""
        return {
            "oslo_messaging_rabbit": {
                "rabbit_quorum_queue": True,
                "rabbit_transient_quorum_queue": True,
                "rabbit_stream_fanout": True,
                "use_queue_manager": True,
                "hostname": self.ctx.host.name,
                "rabbit_qos_prefetch_count": 10,
            },
            "oslo_messaging_notifications": {"driver": "noop"},
            "oslo_concurrency": {"lock_path": self.run},  # the queue manager has locks
        }

    def login(self) -> dict[str, object]:
        """Credentials of the service's own account, as keystoneauth options."""
        return {
            "auth_type": "password",
            "auth_url": self.ctx.url("keystone", "/v3"),
            "username": self.whole,
            "password": self.ctx.secrets[f"service-{self.whole}"],
            "project_name": "service",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }

    def regional_login(self) -> dict[str, object]:
        """The same, with the region in which another service is looked up."""
        return {**self.login(), "region_name": self.ctx.cloud.region}

    def privileged_helper(self, *folders: Path) -> str:
        """The command that starts oslo.privsep's helpers: they begin as root and keep their context's capabilities.

        The services themselves run unprivileged, with just the right to change their user for this command. The group
        stays theirs: they must read what their helpers write (the pid files of haproxy, 0640).
        """
        return " ".join(
            (
                *self.ctx.platform.become_root,
                self.ctx.layout.bin("privsep-helper"),
                *self.config_arguments(*folders),
            )
        )

    def token_check(self) -> dict[str, object]:
        return {
            **self.login(),
            "www_authenticate_uri": self.ctx.url("keystone", "/v3"),
            "region_name": self.ctx.cloud.region,
            **self.token_cache(),
            "service_token_roles": "service",
            "service_token_roles_required": True,
        }

    def token_cache(self) -> dict[str, object]:
        """Where tokens are kept that were checked, encrypted."""
        if not self.ctx.has_control_plane:
            return {}
        return {
            "memcached_servers": f"unix:{self.cache_socket}",
            "memcache_security_strategy": "ENCRYPT",
            "memcache_secret_key": self.ctx.secrets["token-cache"],
        }

    def cache(self) -> dict[str, object]:
        return {
            "enabled": True,
            "backend": "dogpile.cache.pymemcache",
            "memcache_servers": f"unix:{self.cache_socket}",
        }

    def schema(
        self, work: Callable[[Callable[[str], None]], None], title: str, cost: float, *of: object
    ) -> Schema:
        """The step ``create:NAME``: what the service keeps, made by ``work`` for each release and change of ``of``."""
        return Schema(
            self.ctx,
            f"create:{self.name}",
            title,
            work,
            databases=[name for names in self.databases.values() for name in names],
            of=[self.ctx.layout.env.name, *of],
            needs=("databases", "restored-records", f"configure:{self.name}", "bytecode"),
            cost=cost,
        )

    # -- services ---------------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """What its programs are started with."""
        return {
            "MALLOC_ARENA_MAX": "2",  # glibc's arenas, one for each thread, would take a multiple of what is used
            "TMPDIR": str(self.tmp),
        }

    def daemon(
        self,
        name: str,
        ready: Probe,
        arguments: tuple[str, ...],
        *,
        title: str,
        after: tuple[str, ...],
        files: tuple[File, ...] | None = None,
        env: Mapping[str, str] | None = None,
        user: str = "",
        **more: Any,
    ) -> Service:
        """A service that is a program of its own, most often a master that forks its worker."""
        freeze = File(self.ctx.layout.etc / "python/sitecustomize.py", FREEZE)
        return Service(
            name,
            (self.ctx.layout.bin(name), *arguments),
            ready,
            title=title,
            user=user or self.user,
            env={**self.environment(), "PYTHONPATH": str(freeze.path.parent), **(env or {})},
            files=(*(self.files() if files is None else files), freeze),
            after=("bytecode", *after),
            **more,
        )

    # -- APIs -------------------------------------------------------------------------------------------

    def api(
        self,
        name: str,
        module: str,
        *,
        env: Mapping[str, str],
        after: tuple[str, ...],
        arguments: str = "",
        path: str = "/",
        title: str = "",
        cost: float = 4.0,
        lines: str = "",
        files: tuple[File, ...] = (),
        **more: Any,
    ) -> Service:
        """A WSGI application under uWSGI, on a unix socket behind HAProxy."""
        socket = self.ctx.layout.api_socket(name)
        settings = self.ctx.layout.etc / "uwsgi" / f"{name}.ini"
        sizes = self.ctx.cloud.sizes
        text = f"""# Written by skerry.
[uwsgi]
module = {module}
pyargv = {arguments}
http-socket = {socket}
chmod-socket = 660
http-chunked-input = true
master = true
no-orphans = true
processes = {sizes.api_workers}
threads = {sizes.api_threads}
enable-threads = true
lazy-apps = true
need-app = true
die-on-term = true
thunder-lock = true
buffer-size = 65535
listen = 100
start-time = %t
add-header = Connection: close
worker-reload-mercy = 10
disable-logging = true
auto-procname = true
procname-prefix = {name}
{lines}"""
        own = File(settings, text)
        return Service(
            name,
            (self.ctx.layout.bin("uwsgi"), "--ini", str(settings)),
            HttpProbe(socket=socket, path=path),
            title=title or f"{self.title} API",
            user=self.user,
            # The queues for its answers are named after this: as 'uwsgi' they would be one for all APIs of a host,
            # and take each other's answers.
            env={**self.environment(), "OS_OSLO_MESSAGING_RABBIT__PROCESSNAME": name, **env},
            files=(own, *self.files(), *files),
            after=("bytecode", "start:haproxy", self.cache_step, *after),
            cost=cost,
            **more,
        )
