"""glance: images."""

from __future__ import annotations

import shutil
from pathlib import Path

from skerry.cloud.components.base.openstack import OpenStackComponent, Sections
from skerry.cloud.components.upkeep import rows
from skerry.cloud.config.option_source import COMMON, VOLUMES, OptionSource
from skerry.cloud.engine.step import Step
from skerry.cloud.engine.upkeep import UpkeepTask
from skerry.cloud.model.catalogue import Endpoint
from skerry.cloud.model.ports import Port
from skerry.cloud.model.users import IMAGE
from skerry.cloud.steps.manage import manage
from skerry.cloud.supervise.service import Folder, Service


class Glance(OpenStackComponent):
    name = "glance"
    title = "images (glance)"
    user = IMAGE
    options = OptionSource(
        (
            *("glance", "glance.api", "glance.cache", "glance.manage", "glance.scrubber", "glance.store"),
            *("oslo.reports", *VOLUMES, *COMMON),
        ),
        ("glance", "glance_store"),
    )
    databases = {"glance": ("glance",)}
    apis = (Port("glance-api", 9292, shared=True),)
    endpoints = (Endpoint("glance", "image", "glance-api"),)
    account = True
    tests = "glance"
    panel = "/project/images/"

    def folders(self) -> list[Folder]:
        kept = ("images", "staging", "tasks")
        return [*super().folders(), *(Folder(self.state / part, self.user) for part in kept)]

    def bulk(self) -> dict[Path, str]:
        return {self.state / "images": self.user}

    def settings(self) -> Sections:
        return {
            "DEFAULT": {
                **self.logging(),
                "enabled_backends": "local:file",
                "node_staging_uri": f"file://{self.state}/staging",
                **self.limits(),
            },
            "database": self.database(),
            "keystone_authtoken": self.token_check(),
            "paste_deploy": {
                "flavor": "keystone",
                "config_file": self.ctx.layout.env / "etc/glance/glance-api-paste.ini",
            },
            "glance_store": {"default_backend": "local"},
            "local": {"filesystem_store_datadir": self.state / "images"},
            "os_glance_staging_store": {"filesystem_store_datadir": self.state / "staging"},
            "os_glance_tasks_store": {"filesystem_store_datadir": self.state / "tasks"},
            "oslo_messaging_notifications": {"driver": "noop"},
            "wsgi": {"task_pool_threads": 2},
        }

    def limits(self) -> dict[str, object]:
        """The largest image, and all of a project, in bytes: nobody fills the disk that the databases are on."""
        place = self.state / "images"
        while not place.exists():
            place = place.parent
        total, images = shutil.disk_usage(place).total, self.ctx.cloud.images
        return {
            "image_size_cap": total * images.largest_percent // 100,
            "user_storage_quota": str(total * images.project_percent // 100),
        }

    def upkeep(self) -> list[UpkeepTask]:
        def purge(days: int) -> None:
            every = ["--max_rows", "-1", "--age_in_days"]
            commands = [
                ["db", "purge", *every, str(days)],
                ["db", "purge_images_table", *every, str(max(days, rows.IMAGE_DAYS))],
            ]
            manage(self.ctx, "glance.cmd.manage:main", "glance-manage", self.config_arguments(), commands)

        title = "records of deleted images"
        return [rows.task(self.ctx, "glance-deleted", title, ("glance",), purge, besides="images")]

    def work(self) -> list[Step]:
        def create(report: object) -> None:
            # What users may set of images, flavors and servers; the dashboard's pages fail where there is none.
            definitions = ["db", "load_metadefs", "--path", str(self.ctx.layout.env / "etc/glance/metadefs")]
            manage(
                self.ctx,
                "glance.cmd.manage:main",
                "glance-manage",
                self.config_arguments(),
                # Merged: those that are there stay, and a load that was cut off is made whole.
                [["db", "sync"], [*definitions, "--merge"]],
            )
            # glance reads two fixed names from one folder, in this order: they are our two layers.
            folder = self.etc / "wsgi"
            folder.mkdir(exist_ok=True)
            for name, layer in zip(
                ("glance-image-import.conf", "glance-api.conf"), self.config_files(), strict=True
            ):
                (folder / name).unlink(missing_ok=True)
                (folder / name).symlink_to(layer)

        return [self.schema(create, "images: database", 5)]

    def services(self) -> list[Service]:
        return [
            self.api(
                "glance-api",
                "glance.wsgi.api:application",
                env={"OS_GLANCE_CONFIG_DIR": str(self.etc / "wsgi")},
                after=("create:glance", "start:keystone"),
                path="/healthcheck",
            )
        ]
