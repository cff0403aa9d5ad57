"""swift: objects, in one copy on this host's own file system."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from skerry.cloud.components.base.component import Component
from skerry.cloud.config import ini
from skerry.cloud.engine.step import Step
from skerry.cloud.model.catalogue import Endpoint
from skerry.cloud.model.ports import Port
from skerry.cloud.model.secrets import Secret
from skerry.cloud.model.users import GROUP, OBJECT
from skerry.cloud.steps.once import Once
from skerry.cloud.supervise.probes import HttpProbe
from skerry.cloud.supervise.service import File, Folder, Service

Settings = Mapping[str, Mapping[str, object]]
SERVERS = ("account", "container", "object")  # each has a port swift-NAME
# What brings a container's and an account's listing up to date when its server was away for a moment, and removes
# what has expired.
BACKGROUND = {"container": ("container-updater",), "object": ("object-updater", "object-expirer")}
DEVICE, PART_POWER = "d1", 8  # 256 partitions: plenty for one device


class Swift(Component):
    name = "swift"
    title = "objects (swift)"
    user = OBJECT
    caches = True
    feature = "swift"
    ports = (
        Port("swift", 8085),  # what the field knows it by, 8080, is the dashboard's
        Port("swift-object", 16200, clients=(OBJECT,)),
        Port("swift-container", 16201, clients=(OBJECT,)),
        Port("swift-account", 16202, clients=(OBJECT,)),
    )
    endpoints = (Endpoint("swift", "object-store", "swift", "/v1/AUTH_%(tenant_id)s"),)
    account = True
    # The place of objects is computed from it: with another one they are not found any more.
    secrets = (Secret("swift-hash", fixed=True),)
    tests = "swift"
    panel = "/project/containers/"

    def tests_settings(self) -> ini.Sections:
        return {"object-storage": {"operator_role": "member", "reseller_admin_role": "admin"}}

    def _port(self, kind: str) -> int:
        return self.ctx.port(f"swift-{kind}")

    configure_needs = ("machine",)

    @property
    def etc(self) -> Path:
        return self.ctx.layout.etc / "swift"

    @property
    def state(self) -> Path:
        return self.ctx.layout.state / "swift"

    @property
    def tmp(self) -> Path:
        return self.ctx.layout.state / "tmp/swift"

    def folders(self) -> list[Folder]:
        parts = ("", "devices", f"devices/{DEVICE}", "cache")
        return [
            *(Folder(self.state / part, self.user) for part in parts),
            Folder(self.etc, group=self.user),
            Folder(self.tmp.parent, group=GROUP, mode=0o710),
            Folder(self.tmp, self.user, mode=0o700),
        ]

    def irreplaceable(self) -> dict[Path, str]:
        return {self.etc / f"{kind}.{end}": "root" for kind in SERVERS for end in ("builder", "ring.gz")}

    def _common(self, port: int, workers: int = 0) -> dict[str, object]:
        return {
            "bind_ip": "127.0.0.1",
            "bind_port": port,
            "workers": workers,
            "user": self.user,
            "swift_dir": "/etc/swift",
            "devices": self.state / "devices",
            "mount_check": False,
            "log_udp_host": "127.0.0.1",  # otherwise it wants a syslog; nobody listens there, and errors go to stderr
            "log_udp_port": 9,
            "recon_cache_path": self.state / "cache",
        }

    def proxy(self) -> Settings:
        # Without a cache, and so without limits of rates: swift's own client of memcached knows no Unix socket.
        pipeline = "catch_errors gatekeeper healthcheck proxy-logging listing_formats bulk tempurl"
        pipeline += " authtoken keystoneauth copy slo dlo versioned_writes proxy-logging proxy-server"
        filters = {
            name: {"use": f"egg:swift#{name.replace('-', '_') if name == 'proxy-logging' else name}"}
            for name in pipeline.split()
            if name not in ("authtoken", "keystoneauth", "proxy-server")
        }
        return {
            "DEFAULT": self._common(self.ctx.port("swift")),
            "pipeline:main": {"pipeline": pipeline},
            "app:proxy-server": {"use": "egg:swift#proxy", "account_autocreate": True},
            "filter:authtoken": {
                "paste.filter_factory": "keystonemiddleware.auth_token:filter_factory",
                "auth_type": "password",
                "auth_url": self.ctx.url("keystone", "/v3"),
                "www_authenticate_uri": self.ctx.url("keystone", "/v3"),
                "username": "swift",
                "password": self.ctx.secrets["service-swift"],
                "project_name": "service",
                "user_domain_name": "Default",
                "project_domain_name": "Default",
                "memcached_servers": f"unix:{self.cache_socket}",
                "memcache_security_strategy": "ENCRYPT",
                "memcache_secret_key": self.ctx.secrets["token-cache"],
                "service_token_roles_required": True,
                "delay_auth_decision": True,  # public containers and signed addresses need no token
            },
            "filter:keystoneauth": {"use": "egg:swift#keystoneauth", "operator_roles": "admin, member"},
            **{f"filter:{name}": filter for name, filter in filters.items()},
        }

    def storage(self, kind: str) -> Settings:
        return {
            "DEFAULT": self._common(self._port(kind)),
            "pipeline:main": {"pipeline": f"healthcheck recon {kind}-server"},
            f"app:{kind}-server": {"use": f"egg:swift#{kind}"},
            "filter:healthcheck": {"use": "egg:swift#healthcheck"},
            "filter:recon": {"use": "egg:swift#recon"},
            f"{kind}-updater": {"interval": 60},
        }

    def expirer(self) -> Settings:
        return {
            "DEFAULT": self._common(0),
            "object-expirer": {"interval": 300},
            "pipeline:main": {"pipeline": "catch_errors proxy-server"},
            "app:proxy-server": {"use": "egg:swift#proxy"},
            "filter:catch_errors": {"use": "egg:swift#catch_errors"},
        }

    def files(self) -> list[File]:
        prefix = self.ctx.secrets["swift-hash"]
        parts: dict[str, Settings] = {
            "swift.conf": {
                "swift-hash": {"swift_hash_path_prefix": prefix, "swift_hash_path_suffix": prefix},
                "storage-policy:0": {"name": "one-copy", "default": True},
            },
            "proxy-server.conf": self.proxy(),
            "object-expirer.conf": self.expirer(),
            **{f"{kind}-server.conf": self.storage(kind) for kind in SERVERS},
        }
        return [File(self.etc / name, _render(settings), secret=True) for name, settings in parts.items()]

    def work(self) -> list[Step]:
        def create(report: object) -> None:
            builder, run = self.ctx.layout.bin("swift-ring-builder"), self.ctx.platform.run
            for kind in SERVERS:
                file = str(self.etc / f"{kind}.builder")
                if not (self.etc / f"{kind}.ring.gz").exists():
                    self.ctx.platform.remove(Path(file))
                    run([builder, file, "create", str(PART_POWER), "1", "1"])
                    run([builder, file, "add", f"r1z1-127.0.0.1:{self._port(kind)}/{DEVICE}", "1"])
                    run([builder, file, "rebalance"])

        needs = (f"configure:{self.name}", "bytecode")
        return [Once(self.ctx, "create:swift", "make swift's rings", create, needs=needs, cost=2)]

    def _service(self, program: str, config: str, port: int, title: str, *after: str) -> Service:
        files = self.files()
        own = tuple(file for file in files if file.path.name in (config, "swift.conf"))
        return Service(
            f"swift-{program}",
            (self.ctx.layout.bin(f"swift-{program}"), f"/etc/swift/{config}", "verbose"),
            HttpProbe(port=port, path="/healthcheck"),
            title=title,
            user=self.user,
            env={"MALLOC_ARENA_MAX": "2", "TMPDIR": str(self.tmp)},
            files=own,
            binds=((self.etc, Path("/etc/swift")),),  # the only place where swift looks for some of its files
            after=("create:swift", *after),
            cost=2,
        )

    def services(self) -> list[Service]:
        storage = [
            self._service(
                f"{kind}-server", f"{kind}-server.conf", self._port(kind), f"{kind}s on disk (swift)"
            )
            for kind in SERVERS
        ]
        proxy = self._service(
            "proxy-server",
            "proxy-server.conf",
            self.ctx.port("swift"),
            "objects (swift) API",
            self.cache_step,
            "start:keystone",
            *(f"start:{service.name}" for service in storage),
        )
        background = [
            self._service(
                program,
                "object-expirer.conf" if program == "object-expirer" else f"{kind}-server.conf",
                self._port(kind),
                f"{program.replace('-', ' ')} (swift)",
                f"start:swift-{kind}-server",
            )
            for kind, programs in BACKGROUND.items()
            for program in programs
        ]
        return [*storage, proxy, *background]


def _render(settings: Settings) -> str:
    return ini.render(
        {
            section: {
                name: value if isinstance(value, str | int | bool) else str(value)
                for name, value in options.items()
            }
            for section, options in settings.items()
        }
    )
