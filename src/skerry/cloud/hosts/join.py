"""A further host of the cloud: Skerry runs there itself, and this end ensures that it may and does."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skerry.cloud.components import registry
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step, Unknown
from skerry.cloud.hosts.remote import Remote, transport_to
from skerry.cloud.members import Members
from skerry.cloud.model.cloud_toml import Host
from skerry.cloud.model.layout import Layout
from skerry.cloud.platform.choice import platform_of
from skerry.cloud.steps.certificates import SECRET, Certificates
from skerry.cloud.steps.own_tree import MARK, digest, packed
from skerry.common.errors import CommandError, ConfigError, PreflightError, SkerryError, StepError
from skerry.common.proc import last_lines

TIMEOUT = 1200.0  # seconds for a bare host: packages, environment and all


class Joined(Step):
    """The host has what it may know of the cloud, and runs what its roles ask for."""

    cost = 30.0
    live = True
    needs = (
        "certificates",
        "credentials",
        "accounts",
        "start:haproxy",
        "start:rabbitmq",
        "start:keystone",
        "start:placement",
        "start:nova-api",
        "start:nova-conductor",
        "start:neutron-api",
        "start:ovn-northd",
    )

    def __init__(self, ctx: Context, host: Host) -> None:
        self.ctx, self.host = ctx, host
        self.name, self.title = f"host:{host.name}", f"host {host.name}"
        self.there: Remote = transport_to(host)
        self.layout = Layout(Path("/"), ctx.layout.env, ctx.layout.checkout)

    @property
    def command(self) -> str:
        """The program there: in a lab the same files, elsewhere a copy of this source tree."""
        if self.host.transport == "lab":
            return str(self.ctx.layout.checkout / "skerry")
        return str(self.layout.tree / "skerry")

    def files(self) -> dict[Path, tuple[str, int]]:
        """What the host gets, by its path there: text and permission bits.

        All of it is root's; Skerry there gives what a service reads to its user.
        """
        known = [secret.name for secret in registry.secrets().values() if secret.on_hosts]
        etc, read = self.layout.etc, self.ctx.platform.read
        found: dict[Path, tuple[str, int]] = {
            etc / "cloud.toml": (read(self.ctx.layout.cloud_toml) or "", 0o644),
            etc / "secrets.json": (self.ctx.secrets.subset(known), 0o600),
            self.layout.joined: (f"{self.host.name}\n", 0o644),
            self.layout.host_name: (f"{self.ctx.cloud.leader.name}\n", 0o644),
        }
        for name, text in Certificates(self.ctx).parts(self.host).items():
            found[self.layout.tls / name] = (text, 0o600 if name in SECRET else 0o644)
        for name in self._site_files():
            site = read(self.ctx.layout.etc / name)
            if site is not None:
                found[etc / name] = (site, 0o600)
        return found

    def _site_files(self) -> list[str]:
        there = [part for part in registry.in_cloud(self.ctx) if set(part.roles) & set(self.host.roles)]
        return [name for part in there for name in part.site_files()]

    def check(self) -> list[Change]:
        try:
            self._demand_name()
            changes = [Change(f"bring {path} to host {self.host.name}") for path in self._differing()]
            if self._tree_differs():
                changes.append(Change(f"bring this version of Skerry to host {self.host.name}"))
            if changes:
                return changes
            plan = self._told(["plan", "--json"])
        except CommandError as error:
            raise Unknown(f"host {self.host.name} does not answer as it should: {error}") from None
        except PreflightError as error:
            raise StepError(self.name, str(error), remedy=error.remedy) from None
        return [
            Change(f"{title} on {self.host.name}: {change}")
            for title, found in plan["changes"].items()
            for change in found
        ] + [Change(f"{title} on {self.host.name}") for title in plan["later"]]

    def _demand_name(self) -> None:
        called = self.there.run(["uname", "-n"], timeout=60).stdout.strip()
        if called.split(".")[0] != self.host.name:
            raise ConfigError(
                self.ctx.layout.cloud_toml,
                f"host '{self.host.name}' calls itself '{called}'",
                remedy="Give it that name in cloud.toml, or name the machine so.",
            )

    def _differing(self) -> list[Path]:
        files = self.files()
        shown = self.there.run(["sha256sum", "--", *map(str, files)], check=False, timeout=60).stdout
        have = {line[66:]: line[:64] for line in shown.splitlines()}
        return [
            path
            for path, (text, _) in files.items()
            if have.get(str(path)) != hashlib.sha256(text.encode()).hexdigest()
        ]

    def apply(self, report: Callable[[str], None]) -> None:
        report("bring what it needs to know")
        if self._tree_differs():
            self._send_tree()
        self.bring()
        try:
            self.there.watch([self.command, "up"], lambda line: self._tell(line, report), timeout=TIMEOUT)
        except CommandError as error:
            raise StepError(self.name, f"'skerry up' failed there: {error}") from None
        self.ctx.journal.finish(self.name, str(int(time.time())))
        Members(self.ctx).add(self.host)

    def renew(self) -> bool:
        """Give it its certificates, when they differ, and have its services use them. Raises CommandError."""
        differ = any(path.is_relative_to(self.layout.tls) for path in self._differing())
        if differ:
            self.bring(self.layout.tls)
            # Its own copy of Skerry: what runs here by itself may run from a place that only this host has.
            self.there.run([str(self.layout.tree / "skerry"), "up", "--no-packages"], timeout=TIMEOUT)
        return differ

    def bring(self, below: Path = Path("/")) -> None:
        """Give it the files that differ, or those of them in one folder."""
        for path in (path for path in self._differing() if path.is_relative_to(below)):
            text, mode = self.files()[path]
            self.there.write(path, text, mode=mode)

    def verify(self) -> None:
        """Running it there has verified each of its steps."""

    @staticmethod
    def _tell(line: str, report: Callable[[str], None]) -> None:
        _, tick, step = line.partition("✓")
        if tick:
            report(step.strip())

    # -- the source tree, for a host that does not share it ------------------------------------------------

    def _tree_differs(self) -> bool:
        if self.host.transport == "lab":
            return False
        mark = self.there.read(self.layout.tree / MARK)
        return mark != digest(packed(self.ctx.layout.checkout))

    def _send_tree(self) -> None:
        import base64

        place, tree = self.layout.tree, packed(self.ctx.layout.checkout)
        script = 'set -e; rm -rf "$1.new"; mkdir -p "$1.new"; base64 -d | tar -x -C "$1.new"\n'
        script += 'printf %s "$2" >"$1.new/.digest"\n'
        script += 'rm -rf "$1.old"; [ ! -e "$1" ] || mv "$1" "$1.old"; mv "$1.new" "$1"; rm -rf "$1.old"'
        self.there.run(
            ["sh", "-c", script, "sh", str(place), digest(tree)],
            input=base64.b64encode(tree).decode(),
            timeout=300,
        )

    @property
    def keep_packages(self) -> list[str]:
        """Options for 'destroy' there: hosts of a lab share the packages and the environment with this one."""
        home = self.ctx.layout.env.parent.parent
        same = platform_of(self.there).identity(home) == self.ctx.platform.identity(home)
        return ["--keep-packages"] if same else []

    # -- the other verbs ---------------------------------------------------------------------------------

    def status(self) -> list[dict[str, Any]]:
        """The services of the host as its own ``status`` shows them. Raises SkerryError."""
        return list(self._told(["status", "--json"])["services"])

    def doctor(self, fix: bool) -> list[dict[str, Any]]:
        """What its own ``doctor`` finds. Raises SkerryError."""
        return list(self._told(["doctor", "--json", *(["--fix"] if fix else [])])["findings"])

    def _told(self, words: list[str]) -> Any:
        """The result of a verb there. Raises CommandError, with the cause that the verb reports."""
        shown = self.there.run([self.command, *words], timeout=120, check=False)
        try:
            return json.loads(shown.stdout)
        except ValueError:
            what = f"skerry {' '.join(words)}"
            raise CommandError(what, f"exit status {shown.returncode}", told_cause(shown.stderr)) from None

    def tell(self, words: list[str], report: Callable[[str], None]) -> None:
        """Run one of Skerry's verbs there; what fails is said, and not raised."""
        try:
            self.there.watch(
                [self.command, *words], lambda line: report(f"{self.host.name}: {line}"), timeout=300
            )
        except SkerryError as error:
            report(f"{self.host.name}: {error}")


def told_cause(said: str) -> str:
    """Why a verb failed, from its standard error: its last line is the error as JSON, but not that of the bootstrap."""
    try:
        error = json.loads(said.strip().splitlines()[-1])["error"]
        return " ".join(filter(None, (error["message"], error["remedy"])))
    except (ValueError, LookupError, TypeError):
        return last_lines(said) or "it printed nothing"
