"""KVM or QEMU's own translation: decided by booting a guest, never by looking at /dev/kvm."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.cloud.supervise.service import SERVICE_USER

KVM = Path("/dev/kvm")
QEMU = "/usr/bin/qemu-system-x86_64"
VERDICT = "hypervisor.json"  # in the cloud's state
SAFE_QEMU = (9, 0)  # before it, live migration of a translated guest loses writes to its memory (record 0014)
# A boot sector that writes "SKERRY" to the first serial port and ends QEMU: the smallest guest that proves a boot.
#   xor ax,ax; mov ds,ax; mov si,0x7c17; mov dx,0x3f8; next: lodsb; test al,al; jz end; out dx,al; jmp next
#   end: out 0xf4,al (isa-debug-exit); hlt; jmp end
BOOT_SECTOR = bytes.fromhex("31c0 8ed8 be177c baf803 ac 84c0 7403 ee ebf8 e6f4 f4 ebfd") + b"SKERRY\n\0"


def damaging(told: str, virt_type: str) -> str | None:
    """The version of a QEMU whose live migration damages busy guests, from what ``virsh version`` told; None if safe."""
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
        if kept.get("asked") == self.ctx.cloud.hypervisor and kept.get("device") == Path("/dev/kvm").exists():
            return []
        return [Change("boot a probe guest to see whether KVM works")]

    def apply(self, say: Callable[[str], None]) -> None:
        wanted = self.ctx.cloud.hypervisor
        users = self.ctx.platform.users
        if group := users.group_of_device(KVM):
            users.add_to_group(SERVICE_USER, group)
        verdict = (
            probe(self.ctx.layout.run)
            if wanted == "auto"
            else Verdict(wanted, f"cloud.toml says hypervisor = '{wanted}'")
        )
        say(f"{verdict.virt_type}: {verdict.reason}")
        data = {"asked": wanted, "device": Path("/dev/kvm").exists(), **verdict.__dict__}
        self.ctx.platform.write(self._path, json.dumps(data, indent=1) + "\n")


def probe(scratch: Path) -> Verdict:
    """Boot a tiny guest with KVM, as the user that guests run as, and without it: KVM must not be the slower one.

    There are machines that are guests themselves whose KVM boots this guest within seconds, where translation takes a
    fraction of one, and no server at all. Where no udev has given the device to a group, that is done here, but only
    if it is of any use.
    """
    if not KVM.exists():
        return Verdict("qemu", "this machine has no /dev/kvm")
    user = SERVICE_USER
    booted = boot(user, scratch, "kvm")
    if "Permission denied" in booted.why:
        user = "root"
        booted = boot(user, scratch, "kvm")
    if booted.seconds is None:
        return Verdict("qemu", f"/dev/kvm is there, but a probe guest did not boot with it ({booted.why})")
    without = boot(user, scratch, "tcg").seconds
    if without is not None and booted.seconds > without + 1:
        told = f"a probe guest took {booted.seconds:.1f} s with it and {without:.1f} s without"
        return Verdict("qemu", f"/dev/kvm is there, but {told}")
    if user == "root":
        shutil.chown(KVM, "root", SERVICE_USER)
        KVM.chmod(0o660)
    return Verdict("kvm", f"a probe guest booted with KVM in {booted.seconds:.1f} s")


@dataclass(frozen=True)
class Boot:
    """How long a probe guest took to show a sign of life, in seconds; None and why when it showed none."""

    seconds: float | None
    why: str = ""


def boot(user: str, scratch: Path, accelerator: str, seconds: float = 5.0) -> Boot:
    """Boot a guest of 512 bytes and wait at most ``seconds`` for what it writes to its serial port."""
    with tempfile.TemporaryDirectory(prefix="kvm-", dir=scratch) as folder:
        disk, serial = Path(folder, "disk"), Path(folder, "serial")
        shutil.chown(folder, user)
        serial.touch()
        shutil.chown(serial, user)
        disk.write_bytes(BOOT_SECTOR.ljust(510, b"\0") + b"\x55\xaa")
        # A run that is killed must not leave the guest spinning: it dies with the thread that waits for it.
        argv = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--pdeathsig", "KILL"]
        argv += [
            QEMU,
            "-accel",
            accelerator,
            "-machine",
            "pc",
            "-m",
            "32",
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
        ]
        argv += ["-drive", f"file={disk},format=raw,if=floppy,readonly=on", "-serial", f"file:{serial}"]
        argv += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        begun = time.monotonic()
        try:
            guest = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        except OSError as error:
            return Boot(None, f"QEMU does not start: {error.strerror}")
        try:
            _, said = guest.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            guest.kill()
            _, said = guest.communicate()
        took = time.monotonic() - begun
        wrote = serial.read_bytes() if serial.exists() else b""
    if b"SKERRY" in wrote:
        return Boot(took)
    words = [line for line in said.decode(errors="replace").splitlines() if line and "warning:" not in line]
    why = words[-1].split(": ", 1)[-1] if words else f"it showed no sign of life within {seconds:.0f} s"
    return Boot(None, why)
