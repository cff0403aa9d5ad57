"""What the resources of a fresh cloud share: their names, and steps that look through the APIs."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

from skerry.cloud.context import CloudDownError, Context
from skerry.cloud.engine.step import Change, Step, Unknown

PUBLIC, PRIVATE, ROUTER, POOL = "public", "private", "router", "default"
KEYPAIR, GROUP, SERVER, IMAGE = "skerry", "ssh-ping", "first", "tiny"
USER = "skerry"  # of the tiny image


def key_path(ctx: Context) -> Path:
    """The private key of the keypair that the first server lets in."""
    return ctx.layout.etc / "id_ed25519"


def own_images(api: Any) -> dict[str, Any]:
    """The images of the cloud's own project by name: what others call theirs is no matter. The oldest of a name."""
    found: dict[str, Any] = {}
    for image in sorted(api.image.images(owner=api.current_project_id), key=lambda image: image.created_at):
        found.setdefault(image.name, image)
    return found


class ApiStep(Step):
    """A step that looks through the APIs."""

    live = True

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def check(self) -> list[Change]:
        from keystoneauth1.exceptions import ClientException
        from openstack.exceptions import SDKException

        try:
            return self.look()
        except (SDKException, ClientException, CloudDownError) as error:
            raise Unknown(f"the APIs do not answer: {error}") from None

    @abstractmethod
    def look(self) -> list[Change]:
        """What differs, as the APIs show it; they may raise."""
