"""Acting on another host: in a lab of this machine, or over SSH."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import threading
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from skerry.cloud.engine.transport import Transport
from skerry.cloud.model.cloud_toml import Host
from skerry.common import log, proc
from skerry.common.errors import CommandError, PreflightError
from skerry.common.namespaces import entering
from skerry.common.proc import last_lines

LABS = Path("/run/skerry-lab")  # LABS/NAME/HOST.json has the process id of the host's first process
KNOWN_HOSTS = (Path("~/.ssh/known_hosts").expanduser(), Path("/etc/ssh/ssh_known_hosts"))
Result = TypeVar("Result")


class Remote(Transport):
    """A host that is not this one: all by programs that run there."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @abstractmethod
    def watch(self, argv: Sequence[str], report: Callable[[str], None], *, timeout: float) -> None:
        """Run a program and hand each line that it prints to ``report``; raises CommandError as ``run`` does."""

    def read(self, path: Path) -> str | None:
        done = self.run(["cat", str(path)], check=False)
        return done.stdout if done.returncode == 0 else None

    def mode(self, path: Path) -> int | None:
        done = self.run(["stat", "-c", "%a", str(path)], check=False)
        return int(done.stdout, 8) if done.returncode == 0 else None

    def owner(self, path: Path) -> str | None:
        done = self.run(["stat", "-c", "%U:%G", str(path)], check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def names(self, folder: Path) -> list[str]:
        return sorted(self.run(["ls", "-A", str(folder)], check=False).stdout.splitlines())

    def write(self, path: Path, text: str, *, mode: int = 0o644, owner: str | None = None) -> None:
        script = (
            'set -e; mkdir -p "${1%/*}"; umask 077; t=$(mktemp "$1.XXXXXX"); cat >"$t"; chmod "$2" "$t"\n'
        )
        script += '[ -z "$3" ] || chown "$3:" "$t"; sync "$t"; mv "$t" "$1"'
        self.run(["sh", "-c", script, "sh", str(path), f"{mode:o}", owner or ""], input=text)

    def make_folder(self, path: Path, *, mode: int = 0o755, owner: str | None = None) -> None:
        user, _, group = (owner or "").partition(":")
        owned = ["-o", user, "-g", group or user] if owner else []
        self.run(["install", "-d", "-m", f"{mode:o}", *owned, str(path)])

    def remove(self, path: Path) -> None:
        self.run(["rm", "-rf", "--one-file-system", str(path)])


class LabTransport(Remote):
    """A host of a lab, entered by its namespaces."""

    def _entered(self, argv: Sequence[str], env: Mapping[str, str] | None) -> list[str]:
        lab, name = self.host.target.split("/")
        try:
            pid = json.loads((LABS / lab / f"{name}.json").read_text())["pid"]
        except (OSError, ValueError, KeyError):
            raise PreflightError(
                f"Host {self.host.name} is '{self.host.target}', but no such host is up in a lab here.",
                remedy=f"Run 'skerry lab up' with the file of the lab {lab}.",
            ) from None
        words = [f"{key}={value}" for key, value in (env or {}).items()]
        return entering(pid, ["env", *words, *argv])

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout: float | None = 300,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        return proc.run(self._entered(argv, env), input=input, timeout=timeout, check=check)

    def watch(self, argv: Sequence[str], report: Callable[[str], None], *, timeout: float) -> None:
        with log.command(argv, self.host.name) as running:
            process = subprocess.Popen(
                self._entered(argv, None),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            timer = threading.Timer(timeout, process.kill)
            timer.start()
            said: list[str] = []
            try:
                for line in process.stdout or ():
                    said = [*said[-20:], line]
                    report(line.rstrip())
                code = process.wait()
            finally:
                timer.cancel()
                process.kill()
                process.wait()
            running.ended(code)
        if code:
            raise CommandError(shlex.join(argv)[:160], f"exit status {code}", last_lines("".join(said)))


class SshTransport(Remote):
    """A host behind an SSH server. The user is root, or may use sudo without a password."""

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True, name=f"ssh-{self.host.name}").start()
        return loop

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @cached_property
    def _connection(self) -> Any:
        return self._wait(self._connect())

    async def _connect(self) -> Any:
        import asyncssh

        user, _, place = self.host.target.partition("@")
        address, colon, port = place.rpartition(":") if place.count(":") == 1 else (place, "", "")
        keys = {"client_keys": [self.host.ssh_key]} if self.host.ssh_key else {}
        known = [str(path) for path in KNOWN_HOSTS if path.exists()]
        try:
            return await asyncssh.connect(
                address.strip("[]"),
                port=int(port) if colon else 22,
                username=user,
                connect_timeout=20,
                keepalive_interval=15,
                known_hosts=known,
                **keys,
            )
        except (OSError, asyncssh.Error) as error:
            what = "its host key is not known" if isinstance(error, asyncssh.HostKeyNotVerifiable) else error
            raise PreflightError(
                f"Host {self.host.name} cannot be reached by SSH as {self.host.target}: {what}.",
                remedy=f"'ssh {self.host.target}' must get in without a question, as the user who runs Skerry (root).",
            ) from None

    def _command(self, argv: Sequence[str], env: Mapping[str, str] | None) -> str:
        words = [f"{key}={value}" for key, value in (env or {}).items()]
        become = [] if self.host.target.startswith("root@") else ["sudo", "-n"]
        return shlex.join([*become, "env", *words, *argv])

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout: float | None = 300,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        import asyncssh

        shown = f"{self.host.name}: {shlex.join(argv)}"[:160]
        command = self._command(argv, env)
        with log.command(argv, self.host.name) as running:
            try:
                fed: dict[str, Any] = {"input": input} if input else {"stdin": asyncssh.DEVNULL}
                work = self._connection.run(command, **fed, timeout=timeout, errors="replace")
                done = self._wait(work)
            except TimeoutError:
                raise CommandError(shown, f"no result after {timeout:.0f} s", "") from None
            except (OSError, asyncssh.Error) as error:
                self.__dict__.pop("_connection", None)
                raise CommandError(shown, "a lost connection", str(error)) from None
            code = done.exit_status if done.exit_status is not None else 255
            running.ended(code, done.stderr)
        if check and code:
            raise CommandError(
                shown, f"exit status {code}", last_lines(done.stderr) or last_lines(done.stdout)
            )
        return subprocess.CompletedProcess(list(argv), code, done.stdout, done.stderr)

    def watch(self, argv: Sequence[str], report: Callable[[str], None], *, timeout: float) -> None:
        import asyncssh

        shown = f"{self.host.name}: {shlex.join(argv)}"[:160]

        async def follow() -> tuple[int | None, list[str]]:
            said: list[str] = []
            async with self._connection.create_process(
                self._command(argv, None), stderr=asyncssh.STDOUT, stdin=asyncssh.DEVNULL, errors="replace"
            ) as process:
                async for line in process.stdout:
                    said = [*said[-20:], line]
                    report(line.rstrip())
                await process.wait_closed()
                return process.exit_status, said

        _ = self._connection
        with log.command(argv, self.host.name) as running:
            try:
                code, said = self._wait(asyncio.wait_for(follow(), timeout))
            except TimeoutError:
                raise CommandError(shown, f"no result after {timeout:.0f} s", "") from None
            except (OSError, asyncssh.Error) as error:
                self.__dict__.pop("_connection", None)
                raise CommandError(shown, "a lost connection", str(error)) from None
            running.ended(255 if code is None else code)
        if code:
            raise CommandError(shown, f"exit status {code}", last_lines("".join(said)))


def transport_to(host: Host) -> Remote:
    """The way to a host of the cloud that is not this one."""
    return LabTransport(host) if host.transport == "lab" else SshTransport(host)
