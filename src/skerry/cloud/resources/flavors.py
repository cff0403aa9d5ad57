"""Flavors of a fresh cloud."""

from __future__ import annotations

from collections.abc import Callable

from skerry.cloud.engine.step import Change
from skerry.cloud.resources.base import ApiStep

FLAVORS = {  # name: (MiB of memory, virtual CPUs, GiB of disk)
    "m1.nano": (128, 1, 1),
    "m1.tiny": (256, 1, 1),
    "m1.small": (512, 1, 5),
    "m1.medium": (1024, 1, 10),
    "m1.large": (2048, 2, 20),
}


class Flavors(ApiStep):
    name = "flavors"
    title = "flavors"
    needs = ("start:nova-api", "accounts")
    cost = 0.5

    def look(self) -> list[Change]:
        have = {flavor.name for flavor in self.ctx.api.compute.flavors()}
        return [Change(f"create flavor {name}") for name in FLAVORS if name not in have]

    def apply(self, report: Callable[[str], None]) -> None:
        have = {flavor.name for flavor in self.ctx.api.compute.flavors()}
        for name, (ram, vcpus, disk) in FLAVORS.items():
            if name not in have:
                self.ctx.api.compute.create_flavor(name=name, ram=ram, vcpus=vcpus, disk=disk)
