"""Debian systems made by mmdebstrap, from the package sources that this machine's own apt uses."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from skerry.common.errors import PackageError, PreflightError
from skerry.common.privilege import require_root
from skerry.common.proc import run


def codename() -> str:
    """The name of this machine's release, such as bookworm."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def demand(*tools: str) -> None:
    """Raises PreflightError when this is not root, or mmdebstrap or one of the other ``tools`` is missing."""
    require_root("Building a Debian system needs root: it runs in a chroot.")
    for tool in ("mmdebstrap", *tools):
        if not shutil.which(tool):
            raise PreflightError(f"{tool} is not installed.", remedy=f"Install the package that has {tool}.")


def bootstrap(target: Path, packages: Sequence[str], *, hooks: Sequence[str] = ()) -> None:
    """Make a minimal Debian of this machine's release in the folder ``target``, or as an archive if it ends in ``.tar``.

    It has the essential packages and ``packages``. ``hooks`` are shell commands that run once the essential packages
    are there, with the system's folder as ``$1``.

    Raises PackageError (no package sources), CommandError.
    """
    release = codename()
    options = ["--mode=root", "--variant=minbase", "--aptopt=Apt::Install-Recommends false"]
    options += [f"--essential-hook={hook}" for hook in hooks]
    argv = ["mmdebstrap", "--quiet", *options, f"--include={','.join(packages)}", release, str(target), "-"]
    lines = "\n".join(package_sources(release)) + "\n"
    run(argv, input=lines, env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=3600, disposable=True)


def package_sources(release: str) -> list[str]:
    """The one-line sources of a release, its updates and its security fixes that this machine's apt uses.

    Raises PackageError.
    """
    fields = "$(CREATED_BY)|$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    return parse_sources(run(["apt-get", "indextargets", "--format", fields]).stdout, release)


def parse_sources(targets: str, release: str) -> list[str]:
    """The same from what 'apt-get indextargets' printed: CREATED_BY|ORIGIN|CODENAME|REPO_URI|RELEASE|COMPONENT."""
    suites = (release, f"{release}-updates", f"{release}-security")
    lines: dict[str, None] = {}
    for target in targets.splitlines():
        kind, origin, name, uri, suite, component = target.split("|")
        if kind == "Packages" and origin == "Debian" and name in suites:
            lines[f"deb {uri} {suite} {component}"] = None
    if not lines:
        raise PackageError(
            f"apt of this machine has no lists of Debian '{release}'.", remedy="Run 'apt-get update'."
        )
    return list(lines)
