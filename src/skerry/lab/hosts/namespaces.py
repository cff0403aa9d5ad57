"""Being inside of a simulated machine: running programs there, its processes, its network."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from skerry.common import log, namespaces
from skerry.common.clock import Clock
from skerry.common.errors import CommandError, PreflightError

SECONDS_TO_START = 20.0  # for a program to have entered the host


class Program:
    """A program that runs on a host. ``pid`` is that of the program itself, as this machine sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    @property
    def pid(self) -> int | None:
        """None once it has ended. The process that entered the namespaces is its parent."""
        clock = Clock()
        while self.process.poll() is None and clock.now() < SECONDS_TO_START:
            try:
                children = psutil.Process(self.process.pid).children()
            except psutil.NoSuchProcess:
                return None
            if children:
                return int(children[0].pid)
            time.sleep(0.01)
        return None

    def signal(self, number: int) -> None:
        """Send a signal to the program, if it still runs."""
        pid = self.pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self) -> None:
        """Kill it, whatever it does."""
        self.signal(signal.SIGKILL)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Inside:
    """A machine whose first process is known by its number, as this machine counts."""

    name: str
    pid: int  # of its first process; 0 while it is off
    spaces: Sequence[str] = namespaces.HOST  # what it has of its own

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command that runs ``argv`` on the host. Raises PreflightError while it is off."""
        first = self.pid
        if not first:
            raise PreflightError(f"The host {self.name} is off.")
        return namespaces.entering(first, argv, self.spaces)

    def popen(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Program:
        """Start a program on the host; its output (both streams, as text) is in ``process.stdout``."""
        process = subprocess.Popen(
            self.enter(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        log.started(argv, process.pid, self.name)
        return Program(process)

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on the host to its end (``timeout`` in seconds).

        Raises CommandError when it fails (unless ``check`` is False) or takes too long; then it is killed.
        """
        with log.command(argv, self.name) as running:
            process = subprocess.Popen(
                self.enter(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
            try:
                out, error = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                Program(process).end()
                out, error = process.communicate()
                raise CommandError(
                    " ".join(argv)[:160], f"no result after {timeout:.0f} s", (error or out)[-600:]
                ) from None
            except BaseException:
                Program(process).end()
                raise
            running.ended(process.returncode, error)
        if check and process.returncode:
            raise CommandError(
                " ".join(argv)[:160], f"exit status {process.returncode}", (error or out)[-1500:]
            )
        return subprocess.CompletedProcess(list(argv), process.returncode, out, error)

    @contextmanager
    def network(self) -> Iterator[None]:
        """While it lasts, the calling thread, and what it starts, is in the host's network."""
        with namespaces.entered(Path(f"/proc/{self.pid}/ns/net")):
            yield

    def processes(self) -> list[psutil.Process]:
        """All its processes but the first one."""
        first = self.pid
        mine = namespaces.namespace_of(first, "pid")
        if mine is None:
            return []
        return [
            process
            for process in psutil.process_iter()
            if process.pid != first and namespaces.namespace_of(process.pid, "pid") == mine
        ]
