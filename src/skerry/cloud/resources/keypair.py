"""The key pair that the first server lets in."""

from __future__ import annotations

from collections.abc import Callable

from skerry.cloud.engine.step import Change
from skerry.cloud.resources.base import KEYPAIR, ApiStep, key_path


class Keypair(ApiStep):
    name = "keypair"
    title = "keypair"
    needs = ("start:nova-api", "accounts", "packages", "machine")
    cost = 0.3

    def look(self) -> list[Change]:
        changes = [] if key_path(self.ctx).exists() else [Change(f"make key {key_path(self.ctx)}")]
        if self.ctx.api.compute.find_keypair(KEYPAIR) is None:
            changes.append(Change(f"create keypair {KEYPAIR}"))
        return changes

    def apply(self, report: Callable[[str], None]) -> None:
        path, compute = key_path(self.ctx), self.ctx.api.compute
        if not path.exists():
            self.ctx.platform.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "skerry", "-f", str(path)]
            )
            old = compute.find_keypair(KEYPAIR)
            if old is not None:
                compute.delete_keypair(old)
        if compute.find_keypair(KEYPAIR) is None:
            compute.create_keypair(name=KEYPAIR, public_key=path.with_suffix(".pub").read_text())
