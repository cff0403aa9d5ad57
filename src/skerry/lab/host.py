"""A simulated machine on this one, made of namespaces: with a plug to pull, and a world outside of it."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

import psutil

from skerry.common.errors import BusyError, PreflightError
from skerry.common.locks import held
from skerry.common.proc import run as run_here
from skerry.lab.hosts.namespaces import SECONDS_TO_START as PATIENCE
from skerry.lab.hosts.namespaces import Inside, Program

__all__ = ["ADDRESS", "WORLD", "ForeignFolderError", "Host", "Program"]

ADDRESS, GATEWAY, WORLD = (
    "198.51.100.2",
    "198.51.100.1",
    "203.0.113.1",
)  # RFC 5737: for documentation, never real
MARKER = ".skerry-host"


class ForeignFolderError(PreflightError):
    """{}"""


class Host(Inside):
    """One simulated machine, as a context manager.

    It has a network, mounts, processes, a host name and IPC of its own; ``/run``, ``/dev/shm`` and the
    folders ``volatile`` (below ``folder``) are empty each time it is powered on. The rest of the file system
    is this machine's. ``folder`` is made for it and removed with it; all of its state should be there.

    Its one cable leads to a world outside (``WORLD`` answers HTTP there with the visitor's address).

    Raises PreflightError where namespaces cannot be made, BusyError when a host is at work in ``folder``.
    """

    def __init__(self, name: str, folder: Path, *, volatile: Sequence[str] = (), keep: bool = False) -> None:
        self.name, self.folder, self.keep = name, folder.resolve(), keep
        self.volatile = [str(self.folder / part) for part in volatile]
        self._first: subprocess.Popen[str] | None = None
        self._world: subprocess.Popen[str] | None = None
        self._lock: ExitStack | None = None
        self.pid = 0  # of its first process; 0 while it is off

    def __enter__(self) -> Host:
        self._take_folder()
        try:
            self._make_world()
            self.power_on()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _take_folder(self) -> None:
        """Make the folder; clean what a run left there that was killed."""
        marker = self.folder / MARKER
        if self.folder.exists() and any(self.folder.iterdir()) and not marker.exists():
            raise ForeignFolderError(
                f"{self.folder} is not empty and not of the lab: nothing there is touched.",
                remedy="Move it away.",
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = ExitStack()
        try:
            lock.enter_context(held(marker, seconds=0, make="file"))
        except BlockingIOError:
            raise BusyError(f"a host in {self.folder}", "unknown", "now") from None
        self._lock = lock
        for pid in self._left_over():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while self._left_over() and time.monotonic() < deadline:
            time.sleep(0.1)
        for path in self.folder.iterdir():
            if path != marker:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def _left_over(self) -> list[int]:
        """Processes that carry this folder's mark."""
        needle = f"SKERRY_HOST={self.folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    variables = (entry / "environ").read_bytes().split(b"\0")
                except OSError:
                    continue
                if needle in variables:
                    found.append(int(entry.name))
        return found

    def _environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, **(env or {}), "SKERRY_HOST": str(self.folder)}

    def _start(self, namespaces: Sequence[str], program: str, argument: str) -> subprocess.Popen[str]:
        path = Path(__file__).with_name(program)
        argv = ["unshare", *namespaces, sys.executable, "-I", "-S", str(path), argument]
        try:
            return subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd="/",
                env=self._environment(),
                start_new_session=True,
            )
        except FileNotFoundError:
            raise PreflightError("'unshare' is not installed.", remedy="Install util-linux.") from None

    def _wait_up(self, process: subprocess.Popen[str], what: str) -> None:
        assert process.stdout is not None and process.stderr is not None
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        if ready and process.stdout.readline() == "up\n":
            return
        process.kill()
        said = process.stderr.read().strip().splitlines()
        raise PreflightError(f"{what} cannot be made here: {said[-1] if said else 'it said nothing'}")

    def _make_world(self) -> None:
        world = self._start(["--net"], "world.py", WORLD)
        self._world = world
        self._wait_namespace(world.pid, "net")
        for words in (["link", "set", "lo", "up"], ["address", "add", f"{WORLD}/32", "dev", "lo"]):
            self._ip(world.pid, *words)
        assert world.stdin is not None
        world.stdin.write("\n")
        world.stdin.flush()
        self._wait_up(world, "The network outside")

    @staticmethod
    def _wait_namespace(pid: int, kind: str) -> None:
        own = Path(f"/proc/self/ns/{kind}").readlink()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if Path(f"/proc/{pid}/ns/{kind}").readlink() != own:
                    return
            except OSError:
                break
            time.sleep(0.01)
        raise PreflightError(
            "Network namespaces cannot be made here.", remedy="Run as root, outside of a container."
        )

    @staticmethod
    def _ip(pid: int, *words: str) -> None:
        run_here(["nsenter", "-t", str(pid), "--net", "ip", *words], timeout=20)

    def power_on(self) -> None:
        """Start it: its first process runs and its cable is in. Nothing happens when it is on."""
        if self.pid:
            return
        assert self._world is not None, "a host is used as a context manager"
        places = {"/etc/hosts": "hosts", "/etc/resolv.conf": "resolv.conf"}
        texts = {
            "hosts": f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {self.name}\n",
            "resolv.conf": f"nameserver {GATEWAY}\n",
        }
        for name, text in texts.items():
            (self.folder / f".{name}").write_text(text)
        files = {target: str(self.folder / f".{name}") for target, name in places.items()}
        plan = json.dumps({"name": self.name, "files": files, "volatile": self.volatile})
        kinds = ["--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--propagation", "private"]
        self._first = self._start(kinds, "first.py", plan)
        self._wait_up(self._first, "A host of namespaces")
        self.pid = psutil.Process(self._first.pid).children()[0].pid
        self._ip(self.pid, "link", "set", "lo", "up")
        self._plug_in()

    def _plug_in(self) -> None:
        assert self._world is not None
        world = self._world.pid
        # The old cable goes with the old namespace, but the kernel takes its time.
        run_here(["nsenter", "-t", str(world), "--net", "ip", "link", "delete", "cable"], check=False)
        self._ip(
            self.pid, "link", "add", "eth0", "type", "veth", "peer", "name", "cable", "netns", str(world)
        )
        for pid, link, address in ((self.pid, "eth0", ADDRESS), (world, "cable", GATEWAY)):
            self._ip(pid, "address", "add", f"{address}/24", "dev", link)
            self._ip(pid, "link", "set", link, "up")
        self._ip(self.pid, "route", "add", "default", "via", GATEWAY)

    def power_off(self) -> None:
        """Pull the plug: every process of it dies at once, and what was in memory only is gone."""
        if self._first is None:
            return
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        try:
            self._first.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._first.kill()
            self._first.wait()
        for stream in (self._first.stdin, self._first.stdout, self._first.stderr):
            if stream is not None:
                stream.close()
        self._first, self.pid = None, 0

    def close(self) -> None:
        """Take it away: processes, cable, world and folder."""
        self.power_off()
        if self._world is not None:
            self._world.kill()
            self._world.communicate()
            self._world = None
        if self._lock is not None:
            if not self.keep:
                shutil.rmtree(self.folder)
            self._lock.close()
            self._lock = None
