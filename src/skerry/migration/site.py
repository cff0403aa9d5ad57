"""What an evaluation needs of the hosts of a cloud (``skerry.cloud.hosts.migration_site`` implements it)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from subprocess import CompletedProcess
from typing import Protocol


class Site(Protocol):
    """The hosts of a cloud, by name."""

    @property
    def here(self) -> str:
        """The host on which the prober runs."""

    @property
    def computes(self) -> Sequence[str]:
        """Those that run servers."""

    @property
    def virsh(self) -> Sequence[str]:
        """The command that reaches libvirt, on each of them."""

    @property
    def vsctl(self) -> Sequence[str]:
        """The command that asks Open vSwitch, on each of them."""

    def run(
        self, host: str, argv: Sequence[str], *, timeout: float = 60, check: bool = True
    ) -> CompletedProcess[str]:
        """Run a program there as root. Raises SkerryError."""

    def watch(self, host: str, argv: Sequence[str], report: Callable[[str], None], *, timeout: float) -> None:
        """Run one there and hand over each line that it prints. Raises SkerryError."""

    def configure(self, options: Mapping[str, object] | None, report: Callable[[str], None]) -> None:
        """Give nova's section [libvirt] these options on every compute host, or with None those of before."""

    def login(self, address: str) -> Sequence[str]:
        """The command that logs in to a guest, without what is to run there."""

    def may_fault(self, host: str) -> bool:
        """Whether the host's QEMU may handle page faults of a guest itself, which post-copy takes."""
