"""Supervision without an init: supervisord as a child subreaper, driven through its RPC interface.

Its parent is a shell (keeper.sh) that starts it again when it was killed; it then adopts the services (daemon.py).
"""

from __future__ import annotations

import ctypes
import http.client
import os
import subprocess
import threading
import time
import xmlrpc.client
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from skerry.cloud.supervise.base import Process, Supervisor
from skerry.cloud.supervise.process_marks import fingerprint_of
from skerry.cloud.supervise.service import OOM_SUPERVISOR, Service
from skerry.common import log
from skerry.common.clock import Clock
from skerry.common.errors import NotReadyError
from skerry.common.files import write_atomically
from skerry.common.process import kill, start_of
from skerry.common.unix_http import UnixHTTPConnection
from skerry.common.wait import wait_for

PR_SET_CHILD_SUBREAPER = 36
STARTS = 20  # seconds of an idle machine
SHARE = "-5"  # a nice value
STATES = {
    "RUNNING": "running",
    "STARTING": "starting",
    "BACKOFF": "failing",
    "STOPPING": "stopping",
    "STOPPED": "stopped",
    "EXITED": "failing",
    "FATAL": "failed",
    "UNKNOWN": "failed",
}
NO_SUCH_NAME, ALREADY_STARTED, NOT_RUNNING, ALREADY_ADDED = 10, 60, 70, 90  # supervisor.xmlrpc.Faults


class Direct(Supervisor):
    """supervisord keeps the processes; it dies and comes back without harm, and the services' orphans with it."""

    name = "direct"

    def __init__(self, layout: Any) -> None:
        super().__init__(layout)
        self._lock = threading.Lock()

    @property
    def _socket(self) -> Path:
        return self.layout.run / "supervisor.sock"

    @property
    def _config(self) -> Path:
        return self.layout.etc / "supervisor/supervisord.conf"

    def _rpc(self) -> Any:
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(self._socket))
        return proxy.supervisor

    def running(self) -> bool:
        try:
            return bool(self._rpc().getState()["statecode"] == 1)
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False

    def whole(self) -> bool:
        # One of an earlier version has neither notes nor a parent: it is as it was until the next 'down'.
        return self.running() and (self._keeper() is not None or not self._records.is_dir())

    def begin(self) -> None:
        if self.whole():
            return
        if self._keeper() is None and self.running():
            # Its parent was killed. The services do not notice: the next supervisord adopts them.
            kill([int((self.layout.run / "supervisord.pid").read_text())])
        if self._keeper() is not None:
            wait_for("supervisord", self._starts_again, 20, 0.05)
            if self.running():
                return
        write_atomically(self._config, self._supervisord_conf(), mode=0o600)
        self._records.mkdir(mode=0o700, parents=True, exist_ok=True)
        here = self.layout.tree / "src/skerry/cloud/supervise"
        supervisord = [
            self.layout.bin("python"),
            "-I",
            str(here / "daemon.py"),
            "-n",
            "-c",
            str(self._config),
        ]
        argv = ["/bin/sh", str(here / "keeper.sh"), str(self._keeper_pid), *supervisord]
        said = self.layout.log / "supervisord.out"
        said.touch(0o640)
        with said.open("ab") as out:
            daemon = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=_begin,
                cwd="/",
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "SKERRY_RECORDS": str(self._records)},
            )
        log.started(argv, daemon.pid)
        clock = Clock()
        while not self.running():
            if daemon.poll() is not None or clock.now() > STARTS:
                daemon.terminate()
                lines = said.read_text().strip().splitlines()
                raise NotReadyError("supervisord", STARTS, lines[-1] if lines else "it said nothing")
            time.sleep(0.05)

    def _starts_again(self) -> str | None:
        """What is missing until its parent has started it again, or has ended, too."""
        return None if self.running() or self._keeper() is None else "it is started again"

    def processes(self) -> dict[str, Process]:
        try:
            rows = self._rpc().getAllProcessInfo()
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return {}
        return {row["name"]: _process(row) for row in rows}

    def process(self, name: str) -> Process:
        # The row of one is a thirtieth of the work of all, and who waits for a service asks often.
        try:
            return _process(self._rpc().getProcessInfo(name))
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return Process(name, "stopped")

    def install(self, service: Service) -> None:
        super().install(service)
        write_atomically(self._program_path(service.name), self._program(service), mode=0o600)

    def start(self, service: Service) -> None:
        with self._lock:
            self._refresh(service.name)
        self.stop(service.name)
        try:
            self._rpc().startProcess(service.name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != ALREADY_STARTED:
                raise

    def stop(self, name: str) -> None:
        try:
            self._rpc().stopProcess(name, True)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode not in (NOT_RUNNING, NO_SUCH_NAME):
                raise
        except OSError:
            pass  # supervisord does not run: 'end' ends what it may have left

    def forget(self, name: str) -> None:
        self.stop(name)
        self._program_path(name).unlink(missing_ok=True)
        self.spec_path(name).unlink(missing_ok=True)
        with self._lock:
            try:
                self._rpc().removeProcessGroup(name)
            except (OSError, xmlrpc.client.Error):
                pass  # it was not known

    def end(self) -> None:
        with suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
            self._rpc().stopAllProcesses(True)  # else it starts again what is ended below
        super().end()  # before supervisord, which reaps them; what comes after it may not
        with suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
            self._rpc().shutdown()
        keeper = self._keeper()
        if keeper is None:
            wait_for("the end of supervisord", lambda: "it runs" if self.running() else None, 60, 0.05)
        else:
            keeper.terminate()  # supervisord may be dead just now, and would be started again
            wait_for("the end of supervisord", lambda: "it runs" if _runs(keeper) else None, 60, 0.05)
        kill(self._noted())  # what was being started just now has no mark yet
        for note in (*self._records.glob("*"), self._keeper_pid):
            note.unlink(missing_ok=True)

    def _noted(self) -> list[int]:
        """The processes of services that supervisord has noted, and that run."""
        found = []
        for note in self._records.glob("*"):
            with suppress(OSError, ValueError):
                pid, started = map(int, note.read_text().split())
                if start_of(pid) == started:
                    found.append(pid)
        return found

    def _keeper(self) -> psutil.Process | None:
        """The parent of supervisord, if it runs."""
        with suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int(self._keeper_pid.read_text()))
            if str(self._keeper_pid) in process.cmdline() and _runs(process):
                return process
        return None

    @property
    def _keeper_pid(self) -> Path:
        return self.layout.run / "supervisor.pid"

    @property
    def _records(self) -> Path:
        """Which process each service is."""
        return self.layout.run / "services"

    def launcher(self, name: str) -> list[str]:
        return [*super().launcher(name), str(self.log_path(name))]

    def _refresh(self, name: str) -> None:
        """Let supervisord read a program section that is new or changed."""
        rpc = self._rpc()
        added, changed, _ = rpc.reloadConfig()[0]
        if name in changed:
            self.stop(name)
            rpc.removeProcessGroup(name)
            added = [*added, name]
        if name in added:
            try:
                rpc.addProcessGroup(name)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != ALREADY_ADDED:
                    raise

    def _program_path(self, name: str) -> Path:
        return self._config.parent / "services" / f"{name}.conf"

    def _supervisord_conf(self) -> str:
        layout = self.layout
        return f"""; Written by skerry.
[supervisord]
logfile={layout.log}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile={layout.run}/supervisord.pid
nodaemon=true
minfds=4096

[unix_http_server]
file={self._socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[include]
files={self._config.parent}/services/*.conf
"""

    def _program(self, service: Service) -> str:
        group = "false" if service.keeps_children else "true"
        return f"""; Written by skerry.
[program:{service.name}]
command={" ".join(self.launcher(service.name))}
autostart=false
autorestart=true
startsecs=2
startretries=1000000000
stopsignal=TERM
stopwaitsecs={service.stop_seconds}
stopasgroup={group}
killasgroup={group}
redirect_stderr=true
stdout_logfile=NONE
"""


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return UnixHTTPConnection(self._path, timeout=90)


def _begin() -> None:
    """Services whose supervisord was killed must have a parent that reaps: init may not do it.

    Where Linux shares the processors between sessions first (sched(7), autogroup), the services have three times the share
    of another session, and a guest a third: guests that compute, or somebody's programs, do not stop the cloud.

    Logs are not for everybody: supervisord's own option for that has no effect on one that stays in the foreground.
    """
    os.umask(0o027)
    with suppress(OSError):  # a kernel without such groups, or a container that may not
        Path("/proc/self/autogroup").write_text(SHARE)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with suppress(OSError):  # a container may forbid it
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SUPERVISOR))


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _process(row: dict[str, Any]) -> Process:
    """A process from supervisord's row of it."""
    pid = int(row["pid"])
    return Process(
        name=row["name"],
        state=STATES[row["statename"]],
        pid=pid,
        since=float(row["start"]) if pid else 0.0,
        fingerprint=fingerprint_of(pid) if pid else "",
        detail=str(row["spawnerr"] or row["description"]),
    )
