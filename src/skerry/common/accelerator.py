"""KVM or QEMU's own translation (TCG): found out by booting a guest, never by looking at /dev/kvm."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from skerry.common import log

KVM = Path("/dev/kvm")
# A boot sector that writes "SKERRY" to the first serial port and ends QEMU: the smallest guest that proves a boot.
#   xor ax,ax; mov ds,ax; mov si,0x7c17; mov dx,0x3f8; next: lodsb; test al,al; jz end; out dx,al; jmp next
#   end: out 0xf4,al (isa-debug-exit); hlt; jmp end
BOOT_SECTOR = bytes.fromhex("31c0 8ed8 be177c baf803 ac 84c0 7403 ee ebf8 e6f4 f4 ebfd") + b"SKERRY\n\0"
MACHINE = ("-machine", "pc", "-m", "32", "-nodefaults", "-display", "none", "-no-reboot")
EXIT = ("-device", "isa-debug-exit,iobase=0xf4,iosize=4")
WORTH = 1.0  # seconds that KVM may take longer than TCG for this guest


@dataclass(frozen=True)
class ProbeBoot:
    """How long a probe guest took to show a sign of life, in seconds; None and why when it showed none."""

    seconds: float | None
    why: str = ""

    def keeps_up_with(self, translated: ProbeBoot) -> bool:
        """Whether this guest, with KVM, booted and was not the slower one.

        There are machines that are guests themselves whose KVM boots this guest within seconds, where translation
        takes a fraction of one, and no larger guest at all.
        """
        if self.seconds is None:
            return False
        return translated.seconds is None or self.seconds < translated.seconds + WORTH


def boot(
    qemu: str, accelerator: str, scratch: Path | None = None, *, user: str | None = None, seconds: float = 5.0
) -> ProbeBoot:
    """Boot a guest of 512 bytes with ``kvm`` or ``tcg`` and wait at most ``seconds`` for what it writes to its serial port.

    ``scratch`` is a folder for its files that ``user``, if QEMU is to run as another, can enter.
    """
    with tempfile.TemporaryDirectory(prefix="kvm-", dir=scratch) as folder:
        disk, serial = Path(folder, "disk"), Path(folder, "serial")
        disk.write_bytes(BOOT_SECTOR.ljust(510, b"\0") + b"\x55\xaa")
        serial.touch()
        # A run that is killed must not leave the guest spinning: it dies with the thread that waits for it.
        argv = ["setpriv", "--pdeathsig", "KILL"]
        if user is not None:
            shutil.chown(folder, user)
            shutil.chown(serial, user)
            argv += [f"--reuid={user}", f"--regid={user}", "--init-groups"]
        drive = ["-drive", f"file={disk},format=raw,if=floppy,readonly=on", "-serial", f"file:{serial}"]
        argv += [qemu, "-accel", accelerator, *MACHINE, *drive, *EXIT]
        with log.command(argv) as running:
            started = time.monotonic()
            try:
                guest = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
                )
            except OSError as error:
                return ProbeBoot(None, f"QEMU does not start: {error.strerror}")
            try:
                _, said = guest.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                guest.kill()
                _, said = guest.communicate()
            took = time.monotonic() - started
            running.ended(guest.returncode)
        wrote = serial.read_bytes() if serial.exists() else b""
    if b"SKERRY" in wrote:
        return ProbeBoot(took)
    words = [line for line in said.decode(errors="replace").splitlines() if line and "warning:" not in line]
    why = words[-1].split(": ", 1)[-1] if words else f"it showed no sign of life within {seconds:.0f} s"
    return ProbeBoot(None, why)
