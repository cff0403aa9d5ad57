"""Generated files, validated before they replace anything."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.cloud.model.users import ROOT
from skerry.cloud.supervise.service import File


class Files(Step):
    """Brings generated files to what they should contain, which is asked when the step runs and not before."""

    def __init__(
        self,
        ctx: Context,
        name: str,
        title: str,
        files: Callable[[], Sequence[File]],
        needs: tuple[str, ...] = ("machine",),
    ) -> None:
        self.ctx, self.name, self.title, self._files, self.needs = ctx, name, title, files, needs
        self.cost = 0.1

    def check(self) -> list[Change]:
        changes = []
        for file in self._files():
            now = self.ctx.platform.read(file.path)
            if now is None:
                changes.append(Change(f"write {file.path}"))
            elif now != file.content:
                changes += _differences(file, now)
            elif (mode := self.ctx.platform.mode(file.path)) != file.mode:
                changes.append(Change(f"permissions of {file.path}", f"{mode:o}", f"{file.mode:o}"))
            elif (owner := self.ctx.platform.owner(file.path)) != _owners(file):
                changes.append(Change(f"owner of {file.path}", owner, _owners(file)))
        return changes

    def apply(self, report: Callable[[str], None]) -> None:
        for file in self._files():
            platform, path = self.ctx.platform, file.path
            same = platform.read(path) == file.content and platform.mode(path) == file.mode
            if not same or platform.owner(path) != _owners(file):
                platform.write(path, file.content, mode=file.mode, owner=file.owner or ROOT)


def _owners(file: File) -> str:
    owner = file.owner or ROOT
    return f"{owner}:{owner}"


def _differences(file: File, now: str) -> list[Change]:
    """A change for each option that gets another value; secrets are named, not shown."""
    old, new = _options(now), _options(file.content)
    changes = []
    for key in dict.fromkeys([*new, *old]):
        before, after = old.get(key), new.get(key)
        if before != after:
            hidden = file.secret and _is_secret(key, before, after)
            changes.append(
                Change(f"{file.path} {key}", before="(secret)", after="(another secret)")
                if hidden
                else Change(f"{file.path} {key}", before=before or "(unset)", after=after or "(unset)")
            )
    if not changes:
        lines = sum(
            1 for line in difflib.ndiff(now.splitlines(), file.content.splitlines()) if line[0] in "+-"
        )
        changes.append(Change(f"rewrite {file.path} ({lines} lines differ)"))
    return changes


def _options(text: str) -> dict[str, str]:
    section, found = "", {}
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif "=" in line and not line.startswith(("#", ";")):
            key, value = line.split("=", 1)
            found[f"{section}{key.strip()}"] = value.strip()
    return found


def _is_secret(key: str, before: str | None, after: str | None) -> bool:
    words = ("password", "secret", "transport_url", "connection", "cookie", "key")
    return any(word in key.lower() for word in words)
