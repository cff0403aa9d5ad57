"""clouds.yaml: how clients find the cloud and get in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step


class Credentials(Step):
    """clouds.yaml in the cloud's folder, and a link to it where every client looks for it."""

    name = "credentials"
    title = "clouds.yaml"
    needs = ("machine",)
    cost = 0.1

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        own = ctx.layout.root == Path("/")
        self.link = Path("/etc/openstack/clouds.yaml") if own else None

    def content(self) -> str:
        cloud = {
            "auth": {
                "auth_url": self.ctx.url("keystone", "/v3"),
                "username": "admin",
                "password": self.ctx.secrets["admin"],
                "project_name": "admin",
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            "region_name": self.ctx.cloud.region,
            "interface": "public",
            "identity_api_version": 3,
        }
        # JSON is YAML, and needs no library to be written right.
        return (
            "# Written by skerry.\n" + json.dumps({"clouds": {self.ctx.cloud.name: cloud}}, indent=2) + "\n"
        )

    def check(self) -> list[Change]:
        changes = []
        if self.ctx.platform.read(self.ctx.layout.clouds_yaml) != self.content():
            changes.append(Change(f"write {self.ctx.layout.clouds_yaml}"))
        # An operator's own file is left alone: OS_CLIENT_CONFIG_FILE or './skerry openstack' finds ours.
        if self.link and not os.path.lexists(self.link):
            changes.append(Change(f"link {self.link} to it"))
        return changes

    def apply(self, report: Callable[[str], None]) -> None:
        self.ctx.platform.write(self.ctx.layout.clouds_yaml, self.content(), mode=0o600)
        if self.link and not os.path.lexists(self.link):
            self.link.parent.mkdir(exist_ok=True)
            self.link.symlink_to(self.ctx.layout.clouds_yaml)
