"""nova: servers. What runs them on a host is in compute.py."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from skerry.cloud.components.base.openstack import Sections
from skerry.cloud.components.nova.base import NovaPart
from skerry.cloud.components.nova.novnc import NoVNC
from skerry.cloud.components.upkeep import rows
from skerry.cloud.config.option_source import COMMON, DAEMONS, VOLUMES, OptionSource
from skerry.cloud.engine.step import Step
from skerry.cloud.engine.upkeep import UpkeepTask
from skerry.cloud.model.catalogue import Endpoint
from skerry.cloud.model.ports import Port
from skerry.cloud.model.users import SERVERS
from skerry.cloud.steps.certificates import CA, CERTIFICATE, KEY
from skerry.cloud.steps.manage import apart, manage
from skerry.cloud.supervise.probes import AllOf, ConnectedProbe, TcpProbe
from skerry.cloud.supervise.service import File, Folder, Service


class Nova(NovaPart):
    name = "nova"
    title = "servers (nova)"
    user = SERVERS
    options = OptionSource(
        ("nova.conf", *VOLUMES, *DAEMONS, *COMMON),
        ("nova", "os_vif", "vif_plug_ovs", "vif_plug_noop", "os_brick", "cotyledon"),
    )
    databases = {"nova": ("nova_api", "nova", "nova_cell0")}
    apis = (Port("nova-api", 8774, shared=True), Port("nova-metadata", 8775, shared=True))
    ports = (Port("novnc", 6080), Port("serial", 6083))
    endpoints = (Endpoint("nova", "compute", "nova-api", "/v2.1"),)
    account = shares_account = True
    tests = "nova"
    panel = "/project/instances/"

    @property
    def with_database(self) -> Path:
        """The folder of the layer that nova-compute must not see."""
        return self.etc / "database"

    @property
    def configure_needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("machine", "hypervisor", *(("certificates",) if self.ctx.cloud.moves else ()))

    @property
    def state(self) -> Path:
        return self.ctx.layout.state / "nova-control"

    def folders(self) -> list[Folder]:
        return [*super().folders(), Folder(self.with_database, group=self.user)]

    def settings(self) -> Sections:
        settings = self.common()
        settings["keystone_authtoken"] = self.token_check()
        settings["neutron"] |= {
            "service_metadata_proxy": True,
            "metadata_proxy_shared_secret": self.ctx.secrets["metadata-proxy"],
        }
        settings["vnc"] |= self.screens()
        settings["cache"] = self.cache()
        return settings

    def screens(self) -> dict[str, object]:
        """How the console's proxy reaches guests' screens; between hosts both ends prove who they are (VeNCrypt)."""
        if not self.ctx.cloud.moves:
            return {}
        tls = self.ctx.layout.tls
        return {
            "auth_schemes": ["vencrypt"],
            "vencrypt_client_key": self._key.path,
            "vencrypt_client_cert": tls / CERTIFICATE,
            "vencrypt_ca_certs": tls / CA,
        }

    @property
    def _key(self) -> File:
        """The host's key, for the console's proxy."""
        return File(self.etc / KEY, self.ctx.platform.read(self.ctx.layout.tls / KEY) or "", secret=True)

    def files(self) -> list[File]:
        databases: Sections = {
            "database": {**self.database("nova")},
            "api_database": {**self.database("nova_api")},
        }
        keys = [self._key] if self.ctx.cloud.moves else []
        return [*super().files(), self.config(databases, self.with_database), *keys]

    def control_arguments(self) -> tuple[str, ...]:
        """Options for what may reach the databases."""
        return self.config_arguments(self.etc, self.with_database)

    def upkeep(self) -> list[UpkeepTask]:
        if not self.ctx.has_control_plane:
            return []
        purge = partial(rows.purge_nova, self.ctx, self.control_arguments())
        databases = ("nova", "nova_cell0")
        return [rows.task(self.ctx, "nova-deleted", "records of deleted servers", databases, purge)]

    def work(self) -> list[Step]:
        url = "{scheme}://{username}:{password}@{hostname}:{port}/"
        query = "?{query}"

        def create(report: object) -> None:
            manage(
                self.ctx,
                "nova.cmd.manage:main",
                "nova-manage",
                self.control_arguments(),
                [
                    ["api_db", "sync"],
                    ["cell_v2", "map_cell0", "--database_connection", f"{url}nova_cell0{query}"],
                    ["db", "sync"],
                ],
            )
            cells = [*apart(self.ctx, "nova-manage"), self.ctx.layout.bin("nova-manage")]
            cells += [*self.control_arguments(), "cell_v2"]
            if " cell1 " not in self.ctx.platform.run([*cells, "list_cells"]).stdout:
                cell = ["--name", "cell1", "--database_connection", f"{url}nova{query}"]
                broker = ["--transport-url", "{scheme}://{username}:{password}@{hostname}:{port}//"]
                self.ctx.platform.run([*cells, "create_cell", *cell, *broker])

        return [NoVNC(self.ctx), self.schema(create, "servers: databases and cells", 12)]

    def services(self) -> list[Service]:
        files = ";".join(
            (
                str(self.ctx.layout.env / "etc/nova/api-paste.ini"),
                *(str(path) for path in self.config_files(self.etc, self.with_database)),
            )
        )
        full = AllOf((ConnectedProbe((self.ctx.port("rabbitmq"), self.ctx.port("mariadb"))),))
        return [
            self.api(
                "nova-api",
                "nova.wsgi.osapi_compute:application",
                env={"OS_NOVA_CONFIG_FILES": files},
                after=("create:nova", "start:keystone", "start:rabbitmq"),
                cost=5,
            ),
            self.api(
                "nova-metadata",
                "nova.wsgi.metadata:application",
                env={"OS_NOVA_CONFIG_FILES": files},
                after=("create:nova", "start:rabbitmq"),
                title="servers' metadata (nova)",
                cost=5,
            ),
            self.daemon(
                "nova-conductor",
                full,
                self.control_arguments(),
                title="conductor (nova)",
                # It looks placement up in the catalogue as it starts, and ends when it is not there.
                after=("create:nova", "start:rabbitmq", self.cache_step, "start:placement", "accounts"),
            ),
            self.daemon(
                "nova-scheduler",
                full,
                self.control_arguments(),
                title="scheduler (nova)",
                after=("create:nova", "start:rabbitmq", "start:placement", "accounts"),
            ),
            self.daemon(
                "nova-novncproxy",
                TcpProbe(self.ctx.port("novnc"), host=self.ctx.listen),
                (*self.control_arguments(), "--web", str(NoVNC(self.ctx).pages)),
                title="consoles in the browser (noVNC)",
                after=("create:nova", "novnc", "start:rabbitmq"),
                cost=3,
            ),
            self.daemon(
                "nova-serialproxy",
                TcpProbe(self.ctx.port("serial"), host=self.ctx.listen),
                self.control_arguments(),
                title="serial consoles (nova)",
                after=("create:nova", "start:rabbitmq"),
                cost=3,
            ),
        ]
