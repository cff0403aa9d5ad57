"""What a VM is made of: the part that must be the same wherever its memory is resumed."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

RAM = "ram"
RAM_BLOCK = RAM  # what a migration stream calls the memory
DISK_NODE = "disk"
NIC_PORTS = ("port0", "port1")

_MACHINE = re.compile(r"pc-(q35|i440fx)-\d{1,2}\.\d{1,2}")
_CPU = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}")


@dataclass(frozen=True)
class Machine:
    """Machine type with its version, named CPU model, processors, memory in MiB, and the layout of devices.

    ``layout`` is the number of the list of devices in ``devices``: a new list is a new number.
    """

    type: str = "pc-q35-7.2"
    cpu: str = "Nehalem"
    cpus: int = 1
    memory_mib: int = 1024
    layout: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.type, str) or not _MACHINE.fullmatch(self.type):
            raise ValueError(f"the machine type '{self.type}' is not one with a version, like pc-q35-7.2")
        if not isinstance(self.cpu, str) or not _CPU.fullmatch(self.cpu) or self.cpu in ("host", "max"):
            raise ValueError(f"the CPU model '{self.cpu}' is not a named one, like Nehalem")
        for what, value, top in (("cpus", self.cpus, 64), ("memory_mib", self.memory_mib, 1 << 20)):
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= top:
                raise ValueError(f"{what} must be between 1 and {top}")
        if self.layout != 1:
            raise ValueError(f"the layout of devices {self.layout} is not known to this version")

    @property
    def memory_pages(self) -> int:
        return self.memory_mib * 256

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Machine:
        """Raises ValueError for anything that is not exactly a machine."""
        if not isinstance(data, dict) or set(data) != {"type", "cpu", "cpus", "memory_mib", "layout"}:
            raise ValueError(
                "the machine's description has other fields than type, cpu, cpus, memory_mib, layout"
            )
        return cls(**data)

    def devices(self) -> list[str]:
        """QEMU's arguments for all that has state in a snapshot, addresses included. No network card.

        Cards and further disks are plugged into the root ports after a resume, and out before a snapshot.
        """
        words = ["-smp", str(self.cpus), "-m", str(self.memory_mib), "-cpu", f"{self.cpu},enforce"]
        for device in (
            "virtio-blk-pci,drive=disk,addr=0x2,id=vda",
            "virtio-rng-pci,addr=0x3,id=rng0",
            "vmgenid,guid=auto,id=generation",
            "pcie-root-port,id=port0,chassis=1,slot=1,port=1,addr=0x4",
            "pcie-root-port,id=port1,chassis=2,slot=2,port=2,addr=0x5",
            "isa-serial,chardev=console,index=0",
            "isa-serial,chardev=agent,index=1",
        ):
            words += ["-device", device]
        return words
