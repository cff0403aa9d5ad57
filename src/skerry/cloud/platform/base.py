"""What an operating system does for a cloud on one host. Debian is the first; another one is another class."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from skerry.cloud.engine.transport import Local, Transport


class Platform(ABC):
    """One host's operating system, acted on by way of ``transport``: the local machine, or another host."""

    def __init__(self, transport: Transport | None = None) -> None:
        self.transport: Transport = transport or Local()

    @abstractmethod
    def installed(self, packages: Sequence[str]) -> dict[str, str]:
        """The versions of those of ``packages`` that are installed."""

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout: float | None = 300,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program; ``timeout`` in seconds. Raises CommandError as ``skerry.common.proc.run`` does."""
        return self.transport.run(argv, env=env, input=input, timeout=timeout, check=check)

    def read(self, path: Path) -> str | None:
        """The text of a file, None where there is none."""
        return self.transport.read(path)

    def mode(self, path: Path) -> int | None:
        """The permission bits of a file, None where there is none."""
        return self.transport.mode(path)

    def write(self, path: Path, text: str, *, mode: int = 0o644, owner: str | None = None) -> None:
        """Replace a file atomically."""
        self.transport.write(path, text, mode=mode, owner=owner)

    def make_folder(self, path: Path, *, mode: int = 0o755, owner: str | None = None) -> None:
        """Make a folder and its missing parents, and give it ``mode`` and ``owner``."""
        self.transport.make_folder(path, mode=mode, owner=owner)

    def remove(self, path: Path) -> None:
        """Remove a file or a whole folder; nothing happens when it is not there."""
        self.transport.remove(path)
