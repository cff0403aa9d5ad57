"""The cloud's own copy of Skerry: what supervision and boots run as root, out of reach of a checkout's owner."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.common.files import flush

PARTS = ("skerry", "LICENSE", "pyproject.toml", "locks", "src")
MARK = ".digest"  # in the copy: the digest of what it is of


def packed(checkout: Path) -> bytes:
    """What a copy consists of, as a tar archive: the same one for the same files, and everything root's."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in PARTS:
            tar.add(checkout / name, name, filter=_plain)
    return archive.getvalue()


def digest(archive: bytes) -> str:
    return hashlib.sha256(archive).hexdigest()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Without what Python and editors leave, without links, and writable by nobody else."""
    if "__pycache__" in member.name or member.name.endswith((".pyc", ".egg-info")):
        return None
    if not (member.isdir() or member.isfile()):
        return None
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


class OwnTree(Step):
    """The copy is of the files that this command runs from."""

    name = "own-tree"
    title = "the cloud's own copy of Skerry"
    needs = ("machine",)
    cost = 0.3

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def check(self) -> list[Change]:
        layout = self.ctx.layout
        if layout.checkout.resolve() == layout.tree:
            return []
        mark = self.ctx.platform.read(layout.tree / MARK)
        if mark == digest(packed(layout.checkout)):
            return []
        return [Change(f"copy Skerry from {layout.checkout} to {layout.tree}")]

    def apply(self, report: Callable[[str], None]) -> None:
        tree = self.ctx.layout.tree
        archive = packed(self.ctx.layout.checkout)
        new, old = tree.with_name(f"{tree.name}.new"), tree.with_name(f"{tree.name}.old")
        for folder in (new, old):
            shutil.rmtree(folder, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(new)
        flush(new)
        (new / MARK).write_text(digest(archive))
        if tree.exists():
            tree.rename(old)
        new.rename(tree)
        shutil.rmtree(old, ignore_errors=True)
