"""A disk that can lose its power: a file system in a file, on a simulated machine.

When everything was killed, the file is as a disk is after a power cut: what the kernel had not yet written back is
missing. A copy of it, made at once, is what the next run continues with.
"""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

from skerry.common.errors import CommandError
from tests.support.machines import SimulatedMachine

# The flush of one file makes ext4 write its journal, with the names of all others, and not yet their data.
FLUSHES = "import os, sys; file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY); os.write(file, b'.'); os.fsync(file)"


class Disk:
    """A file system in a file, mounted where the cloud is."""

    def __init__(self, host: SimulatedMachine) -> None:
        self.host, self.file, self.root = host, host.folder / "disk", host.folder / "r"

    def make(self) -> None:
        self.file.unlink(missing_ok=True)
        with self.file.open("wb") as file:
            file.truncate(12 << 30)  # with holes; a cloud wants 8 GiB free
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.file)], check=True)

    def mount(self) -> None:
        self.host.run(["mount", "-o", "loop", str(self.file), str(self.root)])
        self.host.run(["ln", "-sfn", "/run", str(self.root / "run")])

    def write_names(self) -> None:
        """What the kernel does every 5 s: names reach the disk, up to 30 s before the data of new files."""
        self.host.run([sys.executable, "-c", FLUSHES, str(self.root / "flushed")])

    def cut_the_power(self) -> None:
        for process in self.host.processes():
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        copy = self.file.with_name("copy")
        subprocess.run(["cp", "--sparse=always", str(self.file), str(copy)], check=True)
        self.host.power_off()
        copy.replace(self.file)
        self.host.power_on()
        self.mount()

    @classmethod
    def fresh(cls, host: SimulatedMachine) -> Disk:
        """An empty one, mounted; the test is skipped where none can be."""
        host.run(["umount", str(host.folder / "r")], check=False)
        disk = cls(host)
        disk.make()
        try:
            disk.mount()
        except CommandError as reason:
            pytest.skip(f"no file system in a file can be mounted here: {reason}")
        return disk
