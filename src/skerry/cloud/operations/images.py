"""Images that this machine has built, and their way into the cloud."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skerry.cloud.context import CloudDownError, Context
from skerry.cloud.images import debian, tiny
from skerry.cloud.resources.base import IMAGE, own_images
from skerry.cloud.resources.image import upload_tiny
from skerry.common import interrupt
from skerry.common.errors import PreflightError
from skerry.common.files import flush

SECONDS = {"tiny": 20.0, "debian": 300.0}  # that building mostly takes
DEBIAN_DISK_GIB = 3  # what a flavor must have: the image's 2 GiB, and room to grow


@dataclass(frozen=True)
class Built:
    """One built image and its files by their part (kernel, initrd, disk)."""

    name: str
    version: str
    files: Mapping[str, Path]


@dataclass(frozen=True)
class Listed:
    """An image in the cloud, on this machine, or both. ``size`` is in bytes."""

    name: str
    version: str
    size: int
    built: str | None
    id: str | None
    status: str | None


def build(ctx: Context, name: str, folder: Path | None, report: Callable[[str], None]) -> Built:
    """Build ``tiny`` or ``debian`` into ``folder``; what is there and of the same version is taken as it is.

    Raises PreflightError (not root, a tool is missing), PackageError, CommandError.
    """
    out = folder.absolute() if folder else ctx.layout.cache / "images" / name
    work = ctx.layout.cache / "images/work"
    try:
        out.mkdir(parents=True, exist_ok=True)
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PreflightError(
            f"Cannot write to {error.filename} ({error.strerror}).", remedy="Use sudo."
        ) from None
    with interrupt.running(f"build the image '{name}'", SECONDS[name]):
        built = _build(name, out, work, report)
    data = {**{part: path.name for part, path in built.files.items()}, "version": built.version}
    flush(out)
    ctx.platform.write(out / "built.json", json.dumps(data) + "\n")
    return built


def _build(name: str, out: Path, work: Path, report: Callable[[str], None]) -> Built:
    if name == "tiny":
        image = tiny.build(out, work, report)
        files = {"kernel": image.kernel, "initrd": image.initrd, "disk": image.disk}
        return Built(name, image.version, files)
    made = debian.build(out, work, report)
    return Built(name, made.version, {"disk": made.disk})


def upload(ctx: Context, built: Built, report: Callable[[str], None]) -> str:
    """Upload a built image in place of an older one of its name; returns the new one's id."""
    ctx.layout.demand_cloud()
    interrupt.check()
    report(f"uploading {built.name}")
    if built.name == IMAGE:
        files = tiny.TinyImageFiles(**built.files, version=built.version)
        return str(upload_tiny(ctx.api, files, IMAGE).id)
    own = ctx.api.image.images(owner=ctx.api.current_project_id)
    old = [image for image in own if image.name == built.name]
    image = ctx.api.image.create_image(
        built.name,
        filename=str(built.files["disk"]),
        disk_format="qcow2",
        container_format="bare",
        visibility="public",
        wait=True,
        min_disk=DEBIAN_DISK_GIB,
        min_ram=512,
        skerry_version=built.version,
        **debian.PROPERTIES,
    )
    for other in old:
        ctx.api.image.delete_image(other)
    return str(image.id)


def listed(ctx: Context) -> list[Listed]:
    """What was built on this machine and what the cloud has, by name. Without a cloud just the former."""
    built = {found.name: found for name in ("tiny", "debian") if (found := _built(ctx, name))}
    there = {}
    if ctx.layout.has_cloud and ctx.supervisor.running():
        with suppress(CloudDownError):
            there = own_images(ctx.api)
    rows = []
    for name in sorted({*built, *there}):
        own, image = built.get(name), there.get(name)
        size = image.size if image else sum(path.stat().st_size for path in own.files.values()) if own else 0
        rows.append(
            Listed(
                name,
                own.version if own else "",
                size or 0,
                str(own.files["disk"].parent) if own else None,
                image.id if image else None,
                image.status if image else None,
            )
        )
    return rows


def render(images: Sequence[Listed]) -> str:
    """A plain table."""
    if not images:
        return "There are no images. 'skerry image build tiny' makes one."
    rows = [("name", "MiB", "in the cloud", "built here")]
    for image in images:
        cloud = f"{image.status} {image.id}" if image.id else "-"
        rows.append(
            (image.name, f"{image.size / 2**20:.1f}", cloud, f"{image.version}" if image.built else "-")
        )
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[3]]) for row in rows
    )


def _built(ctx: Context, name: str) -> Built | None:
    folder = ctx.layout.cache / "images" / name
    text = ctx.platform.read(folder / "built.json")
    if text is None:
        return None
    try:
        data = json.loads(text)
        files = {part: folder / data[part] for part in ("kernel", "initrd", "disk") if part in data}
        found = Built(name, data["version"], files)
    except (ValueError, LookupError, TypeError):
        return None  # half-written: it is built again
    return found if all(path.exists() for path in files.values()) else None
