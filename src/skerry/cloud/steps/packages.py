"""Debian packages: installed without starting anything of the machine's own, remembered for ``destroy``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.common.errors import CommandError, PackageError

POLICY = Path("/usr/sbin/policy-rc.d")
SOURCES = Path("/etc/apt/sources.list.d/skerry-backports.sources")
PREFERENCES = Path("/etc/apt/preferences.d/skerry.pref")
PINNED = (
    "src:qemu src:libvirt src:seabios src:brltty"  # source packages, with the two what they need from there
)
APT = [
    "apt-get",
    "-y",
    "-q",
    "-o",
    "Dpkg::Options::=--force-confold",
    "-o",
    "Dpkg::Options::=--force-unsafe-io",
]
APT += [
    "-o",
    "DPkg::Lock::Timeout=600",
]  # another installation is waited for, that of a killed run among them
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


class Packages(Step):
    """The operating system's packages are there; QEMU and libvirt from backports where the release has old ones."""

    name = "packages"
    title = "packages of the operating system"
    needs = ("machine",)
    cost = 30.0

    def __init__(self, ctx: Context, packages: Sequence[str], backports: Sequence[str]) -> None:
        self.ctx, self.packages, self.backports = ctx, tuple(packages), tuple(backports)

    @property
    def record(self) -> Path:
        """Names of the packages that this machine did not have before."""
        return self.ctx.layout.state / "packages"

    def check(self) -> list[Change]:
        have = self.ctx.platform.packages.installed([*self.packages, *self.backports])
        return [Change(f"install {name}") for name in (*self.packages, *self.backports) if name not in have]

    def apply(self, say: Callable[[str], None]) -> None:
        run = self.ctx.platform.run
        before = set(run(["dpkg-query", "-W", "-f", "${Package}\n"]).stdout.split())
        units = _units()
        wanted = [change.what.removeprefix("install ") for change in self.check()]
        with quiet_installation():
            self._with_lists(say)
            self._with_backports(say)
            say(f"apt-get installs {len(wanted)} packages and what they need")
            try:
                run([*APT, "install", "--no-install-recommends", *wanted], env=QUIET, timeout=1800)
            except CommandError as error:
                raise PackageError(
                    f"apt-get could not install the packages: {error.args[2]}",
                    remedy="Is a Debian mirror in reach ('apt-get update')? Then run 'skerry up' again: it goes on.",
                ) from None
            finally:
                after = set(run(["dpkg-query", "-W", "-f", "${Package}\n"]).stdout.split())
                old = set((self.ctx.platform.read(self.record) or "").split())
                self.ctx.platform.write(self.record, "\n".join(sorted(old | (after - before))) + "\n")
        self._disable(sorted(_units() - units))

    def _with_lists(self, say: Callable[[str], None]) -> None:
        say("apt-get update")
        updated = self.ctx.platform.run([*APT, "update"], env=QUIET, timeout=600, check=False)
        if updated.returncode:
            say("some package lists are out of reach; going on with those that are there")

    def _with_backports(self, say: Callable[[str], None]) -> None:
        """Take QEMU and libvirt from backports where the release has old ones.

        The suite is derived from the machine's own sources, and pinned for those two and what they need only.
        """
        codename = _codename()
        if codename != "bookworm":
            return
        suite = f"{codename}-backports"
        run, write = self.ctx.platform.run, self.ctx.platform.write
        if suite not in run(["apt-cache", "policy", "qemu-system-x86"]).stdout:
            entry = backports_entry(_sources(), codename)
            if entry is None:
                say(
                    f"no apt source of this machine has {codename}: QEMU and libvirt will be {codename}'s own"
                )
                return
            write(SOURCES, entry)
            updated = run([*APT, "update"], env=QUIET, timeout=600, check=False)
            if suite not in run(["apt-cache", "policy", "qemu-system-x86"]).stdout:
                self.ctx.platform.remove(SOURCES)
                said = (updated.stderr or "").strip().splitlines()[-1:] or ["the mirror does not have it"]
                say(f"{suite} is out of reach ({said[0]}): live migration of busy guests is not safe then")
                return
        # libvirt wants a part of systemd, of the version that is installed: that may be from backports already.
        from_there = "~bpo" in self.ctx.platform.packages.installed(["systemd"]).get("systemd", "")
        pinned = f"Package: {PINNED}{' src:systemd' if from_there else ''}\nPin: release n={suite}\nPin-Priority: 990\n"
        write(PREFERENCES, f"Explanation: Written by skerry; 'skerry destroy' removes it.\n{pinned}")

    def _disable(self, units: Sequence[str]) -> None:
        """On a machine with systemd the packages' own services stay off: ours are private instances."""
        if units and Path("/run/systemd/system").is_dir():
            self.ctx.platform.run(["systemctl", "disable", "--now", *units], check=False)


@contextmanager
def quiet_installation() -> Iterator[None]:
    """While it lasts, packages that are installed start nothing (the policy that invoke-rc.d asks)."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\n# Written by skerry while it installs packages.\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def backports_entry(sources: str, codename: str) -> str | None:
    """The deb822 entry for ``codename``-backports, with URI, components and keyring of the entry for ``codename``.

    ``sources`` is the text of the machine's sources, deb822 or one-line style; None when it has no such entry.
    """
    for block in re.split(r"\n\s*\n", sources):
        fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t]+.*)*)$", block, re.MULTILINE))
        if codename in fields.get("Suites", "").split() and "deb" in fields.get("Types", "").split():
            kept = {
                key: fields[key] for key in ("URIs", "Components", "Signed-By", "Trusted") if key in fields
            }
            return _entry(f"{codename}-backports", kept)
    for line in sources.splitlines():
        found = re.match(rf"^deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+{codename}\s+(.+)$", line.strip())
        if found:
            options = dict(part.split("=", 1) for part in (found[1] or "").split() if "=" in part)
            kept = {"URIs": found[2], "Components": found[3].split("#")[0].strip()}
            if "signed-by" in options:
                kept["Signed-By"] = options["signed-by"]
            return _entry(f"{codename}-backports", kept)
    return None


def _entry(suite: str, fields: dict[str, str]) -> str:
    lines = ["# Written by skerry; 'skerry destroy' removes it.", "Types: deb", f"Suites: {suite}"]
    return "\n".join([*lines, *(f"{key}: {value}" for key, value in fields.items())]) + "\n"


def _sources() -> str:
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.sources"))]
    files += sorted((folder / "sources.list.d").glob("*.list"))
    texts = (path.read_text() for path in files if path.is_file() and path != SOURCES)
    return "\n\n".join(re.sub(r"(?m)^#.*\n?", "", text) for text in texts)


def _codename() -> str:
    found = re.search(r'^VERSION_CODENAME="?(\w+)', Path("/etc/os-release").read_text(), re.MULTILINE)
    return found[1] if found else ""


def _units() -> set[str]:
    folder = Path("/etc/systemd/system/multi-user.target.wants")
    sockets = Path("/etc/systemd/system/sockets.target.wants")
    return {path.name for place in (folder, sockets) if place.is_dir() for path in place.iterdir()}
