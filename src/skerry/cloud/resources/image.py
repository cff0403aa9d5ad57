"""The image 'tiny': built, and uploaded to glance."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.cloud.images import tiny
from skerry.cloud.resources.base import IMAGE, ApiStep, own_images
from skerry.common.errors import StepError
from skerry.common.files import flush


class TinyImage(Step):
    """The tiny guest's files are built."""

    name = "build-image"
    title = "build the image 'tiny'"
    needs = ("packages",)
    cost = 5.0

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.folder = ctx.layout.cache / "images/tiny"

    def files(self) -> tiny.TinyImageFiles | None:
        """What was built, None before."""
        text = self.ctx.platform.read(self.folder / "built.json")
        if text is None:
            return None
        try:
            built = json.loads(text)
            paths = {part: self.folder / built[part] for part in ("kernel", "initrd", "disk")}
            found = tiny.TinyImageFiles(**paths, version=built["version"])
        except (ValueError, LookupError, TypeError):
            return None  # half-written: it is built again
        return found if all(path.exists() for path in paths.values()) else None

    def check(self) -> list[Change]:
        return [] if self.files() else [Change("build the image 'tiny'")]

    def apply(self, report: Callable[[str], None]) -> None:
        image = tiny.build(self.folder, self.ctx.layout.cache / "images/work", report)
        built = {"kernel": image.kernel.name, "initrd": image.initrd.name, "disk": image.disk.name}
        flush(self.folder)
        self.ctx.platform.write(
            self.folder / "built.json", json.dumps({**built, "version": image.version}) + "\n"
        )


class Image(ApiStep):
    """The tiny image is in glance: kernel, initial ramdisk and disk."""

    name = "image"
    title = "upload the image 'tiny'"
    needs = ("build-image", "start:glance-api", "accounts")
    cost = 2.0

    def look(self) -> list[Change]:
        found = own_images(self.ctx.api).get(IMAGE)
        return [] if found and found.status == "active" else [Change(f"upload image {IMAGE}")]

    def apply(self, report: Callable[[str], None]) -> None:
        files = TinyImage(self.ctx).files()
        if files is None:
            raise StepError(self.name, "the image was not built")
        upload_tiny(self.ctx.api, files, IMAGE)


def upload_tiny(api: Any, files: tiny.TinyImageFiles, name: str) -> Any:
    """Upload the three parts of a tiny guest as public images; returns the disk's image.

    Parts that a broken run left behind are removed first.
    """
    parts = {f"{name}-kernel": ("aki", files.kernel), f"{name}-ramdisk": ("ari", files.initrd)}
    for image in list(api.image.images(owner=api.current_project_id)):
        if image.name in (*parts, name):
            api.image.delete_image(image)
    ids = {}
    for part, (kind, path) in parts.items():
        image = api.image.create_image(
            part, filename=str(path), disk_format=kind, container_format=kind, visibility="public", wait=True
        )
        ids[part] = image.id
    return api.image.create_image(
        name,
        filename=str(files.disk),
        disk_format="qcow2",
        container_format="bare",
        visibility="public",
        wait=True,
        kernel_id=ids[f"{name}-kernel"],
        ramdisk_id=ids[f"{name}-ramdisk"],
        os_distro="debian",
        hw_rng_model="virtio",
        **tiny.PROPERTIES,
    )
