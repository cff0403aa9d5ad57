"""How Skerry reaches a host: this machine here, a lab's hosts and SSH in ``hosts/remote``.

A transport knows no operating system. What one does differently from another is a ``Platform``, which uses this.
"""

from __future__ import annotations

import grp
import pwd
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from skerry.common import proc
from skerry.common.errors import ConfigError, PreflightError
from skerry.common.files import write_atomically


class Transport(ABC):
    """Runs programs and moves files on one host."""

    @abstractmethod
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

    @abstractmethod
    def read(self, path: Path) -> str | None:
        """The text of a file, None where there is none. Raises ConfigError for what is no text or no file."""

    @abstractmethod
    def mode(self, path: Path) -> int | None:
        """The permission bits of a file or folder, None where there is none."""

    @abstractmethod
    def owner(self, path: Path) -> str | None:
        """The owner and the group of a file or folder, as USER:GROUP, None where there is none."""

    @abstractmethod
    def names(self, folder: Path) -> list[str]:
        """The names of what is in a folder, sorted; none where there is no such folder."""

    @abstractmethod
    def write(self, path: Path, text: str, *, mode: int = 0o644, owner: str | None = None) -> None:
        """Replace a file atomically."""

    @abstractmethod
    def make_folder(self, path: Path, *, mode: int = 0o755, owner: str | None = None) -> None:
        """Make a folder and its missing parents, and give it ``mode`` and ``owner`` (USER or USER:GROUP)."""

    @abstractmethod
    def remove(self, path: Path) -> None:
        """Remove a file or a whole folder; nothing happens when it is not there."""


class Local(Transport):
    """The machine that Skerry runs on."""

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout: float | None = 300,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        return proc.run(argv, env=env, input=input, timeout=timeout, check=check)

    def read(self, path: Path) -> str | None:
        try:
            return path.read_text()
        except FileNotFoundError:
            return None
        except PermissionError:
            raise PreflightError(f"{path} is not for you to read.", remedy="Run it with sudo.") from None
        except OSError as error:
            raise ConfigError(path, f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(path, "is not text") from None

    def mode(self, path: Path) -> int | None:
        try:
            return path.stat().st_mode & 0o7777
        except FileNotFoundError:
            return None

    def owner(self, path: Path) -> str | None:
        try:
            facts = path.stat()
        except FileNotFoundError:
            return None
        return f"{_user(facts.st_uid)}:{_group(facts.st_gid)}"

    def names(self, folder: Path) -> list[str]:
        try:
            return sorted(path.name for path in folder.iterdir())
        except FileNotFoundError:
            return []

    def write(self, path: Path, text: str, *, mode: int = 0o644, owner: str | None = None) -> None:
        write_atomically(path, text, mode=mode, owner=owner)

    def make_folder(self, path: Path, *, mode: int = 0o755, owner: str | None = None) -> None:
        path.mkdir(parents=True, exist_ok=True)
        if owner is not None:
            user, _, group = owner.partition(":")
            shutil.chown(path, user, group or user)
        path.chmod(mode)

    def remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
