"""Passwords and keys of a cloud: generated, kept in one 0600 file, never printed."""

from __future__ import annotations

import json
import os
import secrets as random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry.common import log
from skerry.common.errors import ConfigError, NotFoundError, PreflightError, did_you_mean
from skerry.common.files import write_atomically


@dataclass(frozen=True)
class Secret:
    """A password or key that a component declares.

    ``fixed``: it cannot be rotated, since what is stored depends on it. ``on_hosts``: hosts without the control plane
    need it, and may know it.
    """

    name: str
    fixed: bool = False
    on_hosts: bool = False


class Secrets:
    """The secrets of one cloud, by name. A name that is new to the file is generated on first use.

    ``names`` are those that this host may know. ``previous`` has the values that a rotation replaced, until all
    services have the new ones.
    """

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        self.path, self.names = path, tuple(names)
        self._values: dict[str, Any] = {}
        self.previous: dict[str, str] = {}
        if os.path.lexists(path):
            self._values = _read(path)
            self.previous = dict(self._values.pop("previous", {}))
            log.hide(map(str, (*self._values.values(), *self.previous.values())))

    def __getitem__(self, name: str) -> str:
        """Raises NotFoundError for a name that no part of the cloud uses."""
        if name not in self.names:
            raise unknown_secret(name, self.names)
        if name not in self._values:
            self._values[name] = _drawn()
        return str(self._values[name])

    def save(self) -> None:
        """Write the file (0600, atomically) with a value for every name."""
        for name in self.names:
            self[name]
        data = {**self._values, "previous": self.previous} if self.previous else self._values
        write_atomically(self.path, json.dumps(data, indent=1, sort_keys=True) + "\n", mode=0o600)

    def rotate(self, names: Iterable[str]) -> None:
        """Draw new values for ``names``, keep the old ones as ``previous``, and save, all in one write.

        The next converge brings them to the services. A name that has a previous value already is passed
        over: its new value waits to be brought there. Raises NotFoundError for an unknown name, before
        anything changes.
        """
        old = {name: self[name] for name in names if name not in self.previous}
        for name, value in old.items():
            self._values[name] = _drawn()
            self.previous[name] = value
        self.save()

    def settle(self) -> None:
        """Forget the previous values: nothing uses them any more."""
        self.previous = {}
        self.save()

    @property
    def saved(self) -> bool:
        return self.path.exists() and not set(self.names) - set(json.loads(self.path.read_text()))

    def subset(self, names: Iterable[str]) -> str:
        """The file's text for a host that may know these names only."""
        return json.dumps({name: self[name] for name in names}, indent=1, sort_keys=True) + "\n"

    def is_private(self) -> bool:
        """Whether nobody but the owner can read the file."""
        return self.path.stat().st_mode & 0o077 == 0


def unknown_secret(name: str, names: Iterable[str]) -> NotFoundError:
    """The error for a name that no secret has."""
    names = list(names)
    told = f"There is no secret '{name}'.{did_you_mean(name, names)}"
    return NotFoundError(told, remedy=f"The names are: {', '.join(names)}.")


def _read(path: Path) -> dict[str, Any]:
    """The values of a file. Raises ConfigError, or PreflightError when it is for others to read."""
    try:
        values = json.loads(path.read_text())
        if isinstance(values, dict) and isinstance(values.get("previous", {}), dict):
            return values
        broken = "is not a JSON object of names and values"
    except PermissionError:
        raise PreflightError(
            f"The secrets of the cloud ({path}) are root's.", remedy="Run it with sudo."
        ) from None
    except OSError as error:
        broken = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        broken = "is not text"
    except ValueError as error:
        broken = f"is not JSON ({error})"
    raise ConfigError(
        path, broken, remedy="Restore the file: without its values the cloud's data stay closed."
    )


def _drawn() -> str:
    value = random.token_urlsafe(24)
    log.hide([value])
    return value
