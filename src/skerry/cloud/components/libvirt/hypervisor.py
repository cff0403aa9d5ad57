"""KVM or QEMU's own translation: decided by booting a guest, never by looking at /dev/kvm."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.cloud.model.users import GROUP, GUEST
from skerry.common.accelerator import KVM, boot

QEMU = "qemu-system-x86_64"
VERDICT = "hypervisor.json"  # in the cloud's state
SAFE_QEMU = (9, 0)  # before it, live migration of a translated guest loses writes to its memory (record 0014)


def damaging(told: str, virt_type: str) -> str | None:
    """The version of a QEMU whose live migration damages busy guests, from ``virsh version``; None if safe."""
    match = re.search(r"hypervisor: QEMU (\d+)\.(\d+)", told)
    if match and virt_type == "qemu" and (int(match[1]), int(match[2])) < SAFE_QEMU:
        return f"{match[1]}.{match[2]}"
    return None


@dataclass(frozen=True)
class Verdict:
    """Which hypervisor guests get, and why."""

    virt_type: str  # kvm or qemu, as nova names them
    reason: str


class Hypervisor(Step):
    """The verdict is on file before nova is configured with it."""

    name = "hypervisor"
    title = "KVM or QEMU's translation"
    needs = ("packages",)
    cost = 1.0

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self._path = ctx.layout.state / VERDICT

    @staticmethod
    def decided(ctx: Context) -> str:
        """``kvm`` or ``qemu``; before the probe has run, qemu."""
        text = ctx.platform.read(ctx.layout.state / VERDICT)
        return str(json.loads(text)["virt_type"]) if text else "qemu"

    @staticmethod
    def reason(ctx: Context) -> str:
        text = ctx.platform.read(ctx.layout.state / VERDICT)
        return str(json.loads(text)["reason"]) if text else "not probed yet"

    def check(self) -> list[Change]:
        text = self.ctx.platform.read(self._path)
        kept = json.loads(text) if text else {}
        if kept.get("asked") == self.ctx.cloud.hypervisor and kept.get("device") == KVM.exists():
            return self._access()
        return [Change("boot a probe guest to see whether KVM works")]

    def _access(self) -> list[Change]:
        """What guests' user needs to open KVM; who else may open it is not the cloud's business, but its own users are."""
        users = self.ctx.platform.users
        group = users.group_of_device(KVM)
        if group == GROUP:
            return [Change(f"group of {KVM}", GROUP, GUEST)]
        if group and group not in users.groups(GUEST):
            return [Change(f"add {GUEST} to {group}")]
        return []

    def apply(self, report: Callable[[str], None]) -> None:
        wanted = self.ctx.cloud.hypervisor
        users = self.ctx.platform.users
        if (group := users.group_of_device(KVM)) == GROUP:
            shutil.chown(KVM, "root", GUEST)
        elif group:
            users.add_to_group(GUEST, group)
        verdict = (
            probe(self.ctx.platform.program(QEMU), self.ctx.layout.run)
            if wanted == "auto"
            else Verdict(wanted, f"cloud.toml has hypervisor = '{wanted}'")
        )
        report(f"{verdict.virt_type}: {verdict.reason}")
        data = {"asked": wanted, "device": KVM.exists(), **verdict.__dict__}
        self.ctx.platform.write(self._path, json.dumps(data, indent=1) + "\n")


def probe(qemu: str, scratch: Path) -> Verdict:
    """Boot a tiny guest with KVM, as the user that guests run as, and without it: KVM must not be the slower one.

    Where no udev has given the device to a group, that is done here, but only if it is of any use.
    """
    if not KVM.exists():
        return Verdict("qemu", "this machine has no /dev/kvm")
    user = GUEST
    booted = boot(qemu, "kvm", scratch, user=user)
    if "Permission denied" in booted.why:
        user = "root"
        booted = boot(qemu, "kvm", scratch, user=user)
    if booted.seconds is None:
        return Verdict("qemu", f"/dev/kvm is there, but a probe guest did not boot with it ({booted.why})")
    translated = boot(qemu, "tcg", scratch, user=user)
    if not booted.keeps_up_with(translated):
        told = f"a probe guest took {booted.seconds:.1f} s with it and {translated.seconds:.1f} s without"
        return Verdict("qemu", f"/dev/kvm is there, but {told}")
    if user == "root":
        shutil.chown(KVM, "root", GUEST)
        KVM.chmod(0o660)
    return Verdict("kvm", f"a probe guest booted with KVM in {booted.seconds:.1f} s")
