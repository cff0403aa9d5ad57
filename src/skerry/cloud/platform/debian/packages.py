"""Debian's packages by apt. QEMU and libvirt come from backports where the release has old ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

from skerry.cloud.platform.base import PackageManager, Say, release_of
from skerry.common.errors import CommandError, PackageError
from skerry.common.proc import last_lines

POLICY = Path("/usr/sbin/policy-rc.d")
REFUSAL = "#!/bin/sh\n# Written by skerry while it installs packages.\nexit 101\n"
SOURCES = Path("/etc/apt/sources.list.d/skerry-backports.sources")
PREFERENCES = Path("/etc/apt/preferences.d/skerry.pref")
# Source packages: the two, and what they need from there.
PINNED = "src:qemu src:libvirt src:seabios src:brltty"
OLD_RELEASES = ("bookworm",)  # their QEMU damages guests' memory in live migration (record 0014)
OPTIONS = (
    "Dpkg::Options::=--force-confold",
    "Dpkg::Options::=--force-unsafe-io",
    "DPkg::Lock::Timeout=600",  # another installation is waited for, that of a killed run among them
)
APT = ["apt-get", "-y", "-q", *(word for option in OPTIONS for word in ("-o", option))]
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
SYSTEMD = Path("/run/systemd/system")  # there where systemd is the init: sd_booted(3)
UNITS = (
    Path("/etc/systemd/system/multi-user.target.wants"),
    Path("/etc/systemd/system/sockets.target.wants"),
)


class AptPackages(PackageManager):
    def installed(self, names: Sequence[str]) -> dict[str, str]:
        query = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n", *names]
        rows = [line.split() for line in self.host.run(query, check=False).stdout.splitlines()]
        return {row[1]: row[2] for row in rows if len(row) == 3 and row[0] == "installed"}

    def everything(self) -> set[str]:
        return set(self.host.run(["dpkg-query", "-W", "-f", "${Package}\n"]).stdout.split())

    def install(self, names: Sequence[str], report: Say) -> None:
        units = self._units()
        with self._nothing_starts():
            report("apt-get update")
            if self._update().returncode:
                report("some package lists are out of reach; continuing with those that are there")
            self._add_backports(report)
            report(f"apt-get installs {len(names)} packages and what they need")
            try:
                self._apt("install", "--no-install-recommends", *names, timeout=1800)
            except CommandError as error:
                raise PackageError(
                    f"apt-get could not install the packages: {error.args[2]}",
                    remedy="Is a Debian mirror in reach ('apt-get update')? Then run 'skerry up' again: it continues.",
                ) from None
        # On a machine with systemd the packages' own services stay off: ours are private instances.
        if (new := self._units() - units) and self.host.mode(SYSTEMD) is not None:
            self.host.run(["systemctl", "disable", "--now", *sorted(new)], check=False)

    def remove(self, names: Sequence[str], report: Say) -> None:
        if names:
            report(f"apt-get removes {len(names)} packages")
            self._apt("purge", *names, timeout=900, check=False)
        if self.host.mode(SOURCES) is not None:
            self.host.remove(SOURCES)
            self.host.remove(PREFERENCES)
            self._update()

    def download(self, name: str, folder: Path) -> Path:
        work = folder / name
        self.host.remove(work)
        # apt drops its privileges to download.
        self.host.make_folder(work, mode=0o700, owner="_apt:nogroup")
        script = 'cd "$1" && apt-get -q download "$2" && sync *.deb'
        self.host.run(["sh", "-c", script, "sh", str(work), name])
        package = next(file for file in self.host.names(work) if file.endswith(".deb"))
        self.host.run(["mv", str(work / package), str(folder)])
        self.host.remove(work)
        return folder / package

    def downloaded(self, name: str, folder: Path) -> Path | None:
        found = (
            file for file in self.host.names(folder) if re.fullmatch(rf"{re.escape(name)}_.*\.deb", file)
        )
        return next((folder / file for file in found), None)

    def unpack(self, package: Path, folder: Path) -> None:
        self.host.run(["dpkg-deb", "-x", str(package), str(folder)])

    def install_command(self, name: str) -> str:
        return f"apt-get install {name}"

    def _apt(self, *words: str, timeout: float, check: bool = True) -> CompletedProcess[str]:
        return self.host.run([*APT, *words], env=QUIET, timeout=timeout, check=check)

    def _update(self) -> CompletedProcess[str]:
        """Read the lists of packages; those that are out of reach stay as they were."""
        return self._apt("update", timeout=600, check=False)

    def _add_backports(self, report: Say) -> None:
        """Take QEMU and libvirt from backports where the release has old ones.

        The suite is derived from the machine's own sources, and pinned for those two and what they need only.
        """
        codename = release_of(self.host).get("VERSION_CODENAME", "")
        if codename not in OLD_RELEASES:
            return
        suite = f"{codename}-backports"
        if not self._offers(suite):
            entry = backports_entry(self._sources(), codename)
            if entry is None:
                report(
                    f"no apt source of this machine has {codename}: QEMU and libvirt will be {codename}'s own"
                )
                return
            self.host.write(SOURCES, entry)
            updated = self._update()
            if not self._offers(suite):
                self.host.remove(SOURCES)
                why = last_lines(updated.stderr, 1) or "the mirror does not have it"
                report(f"{suite} is out of reach ({why}): live migration of busy guests is not safe then")
                return
        # libvirt wants a part of systemd, of the version that is installed: that may be from backports already.
        from_there = "~bpo" in self.installed(["systemd"]).get("systemd", "")
        pinned = f"Package: {PINNED}{' src:systemd' if from_there else ''}\nPin: release n={suite}\nPin-Priority: 990\n"
        self.host.write(
            PREFERENCES, f"Explanation: Written by skerry; 'skerry destroy' removes it.\n{pinned}"
        )

    def _offers(self, suite: str) -> bool:
        return suite in self.host.run(["apt-cache", "policy", "qemu-system-x86"]).stdout

    def _sources(self) -> str:
        """The text of the machine's own sources, without comments."""
        folder = Path("/etc/apt/sources.list.d")
        names = self.host.names(folder)
        files = [
            Path("/etc/apt/sources.list"),
            *(folder / name for name in names if name.endswith(".sources")),
        ]
        files += [folder / name for name in names if name.endswith(".list")]
        texts = (self.host.read(path) or "" for path in files if path != SOURCES)
        return "\n\n".join(re.sub(r"(?m)^#.*\n?", "", text) for text in texts)

    def _units(self) -> set[str]:
        return {name for folder in UNITS for name in self.host.names(folder)}

    @contextmanager
    def _nothing_starts(self) -> Iterator[None]:
        """While it lasts, packages that are installed start nothing (the policy that invoke-rc.d asks)."""
        if self.host.read(POLICY) not in (None, REFUSAL):  # a killed run leaves ours behind
            yield
            return
        self.host.write(POLICY, REFUSAL, mode=0o755)
        try:
            yield
        finally:
            self.host.remove(POLICY)


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
