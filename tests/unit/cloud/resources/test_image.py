"""The cloud's own images, among those that others call alike."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.samples.three_hosts import at

from skerry.cloud.images.tiny import TinyImageFiles
from skerry.cloud.resources.image import Image, upload_tiny


class Glance:
    """Images by id, as an administrator sees them: with those of all projects."""

    def __init__(self, **owners: str) -> None:
        self.have = {id: self._image(id, "tiny", owner) for id, owner in owners.items()}

    @staticmethod
    def _image(id: str, name: str, owner: str) -> SimpleNamespace:
        return SimpleNamespace(id=id, name=name, owner=owner, status="active", created_at=id)

    def images(self, owner: str) -> list[SimpleNamespace]:
        return [image for image in self.have.values() if image.owner == owner]

    def delete_image(self, image: SimpleNamespace) -> None:
        del self.have[image.id]

    def create_image(self, name: str, **about: Any) -> SimpleNamespace:
        self.have[name] = self._image(name, name, "p1")
        return self.have[name]


def test_another_projects_image_is_not_the_clouds(tmp_path: Path) -> None:
    ctx = at(tmp_path, text="")
    ctx.__dict__["api"] = SimpleNamespace(image=Glance(hers="p2"), current_project_id="p1")
    assert [str(change) for change in Image(ctx).look()] == ["upload image tiny"]
    ctx.__dict__["api"].image = Glance(hers="p2", ours="p1")
    assert Image(ctx).look() == []


def test_only_the_clouds_own_are_replaced(tmp_path: Path) -> None:
    glance = Glance(hers="p2", ours="p1")
    files = TinyImageFiles(kernel=tmp_path, initrd=tmp_path, disk=tmp_path, version="1")
    upload_tiny(SimpleNamespace(image=glance, current_project_id="p1"), files, "tiny")
    assert set(glance.have) == {"hers", "tiny-kernel", "tiny-ramdisk", "tiny"}
