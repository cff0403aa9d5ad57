"""A live migration of a VM into this process: its memory goes into a spool while it runs."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

from skerry.cloudlet.errors import QemuError
from skerry.cloudlet.vm.process import Vm, own_to
from skerry.cloudlet.vm.qmp import seconds
from skerry.cloudlet.vm.spool import Spool
from skerry.cloudlet.vm.stream import Parser, StreamState
from skerry.common.errors import SkerryError

DOWNTIME_MS = 40


class Intake:
    """One migration, started on entry. Whoever leaves its context before ``finish`` lets the guest continue.

    ``enough`` is asked once, in whatever thread, when all of memory has come: true ends the migration there.
    Raises BadStreamError, QemuError.
    """

    def __init__(self, vm: Vm, spool: Spool, enough: Callable[[], bool] | None = None) -> None:
        self._vm = vm
        self.parser = Parser(spool)
        self._result: list[StreamState | Exception | None] = []
        self._path = vm.folder / "snapshot"
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        folder = os.open(vm.folder, os.O_PATH)
        self._listener.bind(
            f"/proc/self/fd/{folder}/snapshot"
        )  # the folder's own name may be too long for an address
        os.close(folder)
        own_to(vm.folder, self._path)
        self._listener.listen(1)
        self._done = False
        self._enough = enough
        self._ends: bool | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def __enter__(self) -> Intake:
        qmp = self._vm.qmp
        capabilities = [{"capability": name, "state": True} for name in ("events", "pause-before-switchover")]
        try:
            qmp("migrate-set-capabilities", capabilities=capabilities)
            qmp("migrate-set-parameters", max_bandwidth=1 << 40, downtime_limit=DOWNTIME_MS)
            qmp.events.clear()
            self.ran = bool(qmp("query-status")["running"])
            qmp("migrate", uri="unix:snapshot")
            if self._enough:
                threading.Thread(target=self._watch, daemon=True).start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._done:
                self._done = True
                self._cancel()
        finally:
            self._close()

    def ended_early(self) -> bool:
        """Whether ``enough`` has ended it. Raises what went wrong in the other thread."""
        if not self._ends and self._result and isinstance(self._result[0], Exception):
            raise self._result[0]
        return bool(self._ends)

    def stands_still(self) -> bool:
        """Whether the guest has been stopped, because little is left, and ``enough`` does not want an end."""
        status = self._vm.qmp("query-migrate")
        if status.get("status") == "pre-switchover":
            return not self._decide()
        if status.get("status") in ("failed", "cancelled", "completed") and not self.ended_early():
            raise QemuError("migrate", status.get("error-desc", f"it is '{status.get('status')}'"))
        return False

    def wait(self, timeout: float = 180.0) -> float:
        """Wait until the guest is paused; returns QEMU's clock at that moment, 0 when it did so before."""
        end = time.monotonic() + timeout
        while not self.stands_still():
            if time.monotonic() > end:
                raise QemuError("migrate", "it does not come to its end")
            time.sleep(0.002)
        return self.stopped_at()

    def stopped_at(self) -> float:
        return seconds(self._vm.qmp.wait("STOP", 5)) if self.ran else 0.0

    def finish(self) -> StreamState:
        """Take the rest. The guest is paused afterwards, until it is resumed."""
        self._vm.qmp("migrate-continue", state="pre-switchover")
        self._until("completed")
        self._done = True
        self._thread.join(60)
        if not self._result:
            raise QemuError("migrate", "the stream did not end")
        if isinstance(self._result[0], Exception):
            raise self._result[0]
        assert self._result[0] is not None
        return self._result[0]

    def _cancel(self) -> None:
        self._vm.qmp("migrate_cancel")
        self._shut()
        self._until("cancelled", "failed")

    def _until(self, *wanted: str) -> None:
        end = time.monotonic() + 60
        while True:
            now = self._vm.qmp("query-migrate")
            if now.get("status", "cancelled") in wanted:
                return
            if now.get("status") in ("failed", "cancelled", "completed") or time.monotonic() > end:
                self.ended_early()
                raise QemuError("migrate", now.get("error-desc", f"it is '{now.get('status')}'"))
            time.sleep(0.002)

    def _receive(self) -> None:
        try:
            sock, _ = self._listener.accept()
            with sock:
                self._result.append(self.parser.read(sock, self._decide))
        except Exception as trouble:  # handed to the caller, unless it is the end that was asked for
            self._result.append(None if self._ends else trouble)

    def _decide(self) -> bool:
        """Ask once, whichever thread comes first: QEMU may hold the last pages back until it is asked to continue."""
        with self._lock:
            if self._ends is None:
                self._ends = bool(self._enough and self._enough())
                if self._ends and not self._done:
                    self._vm.qmp("migrate_cancel")  # at once: the guest may be paused already
            return self._ends

    def _watch(self) -> None:
        """Whoever began this may be busy when the guest is stopped."""
        try:
            while self._ends is None and not self._done and not self.stands_still():
                time.sleep(0.01)
        except SkerryError:
            pass  # the caller sees the same when it asks

    def _shut(self) -> None:
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # ends a wait for a connection that never comes
        except OSError:
            pass
        self._shut()


def go_on(vm: Vm) -> float:
    """Let a guest run on that a migration has left behind; returns QEMU's clock at that moment."""
    # A migration that is completed is not yet over: QEMU lets the guest continue only in its next state.
    end = time.monotonic() + 10
    while (status := vm.qmp("query-status")["status"]) != "postmigrate":
        if status == "running":
            return 0.0
        if time.monotonic() > end:
            raise QemuError("migrate", "it is completed, but does not come to its end")
        time.sleep(0.001)
    vm.qmp("cont")
    return seconds(vm.qmp.wait("RESUME", 10))
