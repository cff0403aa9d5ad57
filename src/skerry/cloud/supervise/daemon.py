"""supervisord, which also adopts services that an earlier one has started, and never gives a service up.

Runs under ``python -I``, with the supervisor of the environment and the standard library. ``SKERRY_RECORDS`` names the
folder in which it notes the process of each service. ``SKERRY_AGAIN`` is set when the one before was killed: what ran then
and has ended meanwhile is started.

A killed supervisord leaves its services running: they write into their logs themselves, so that they miss nothing. The
next one knows each by the note, takes it for its own, and looks after it as after a child; how it ended nobody can know.
"""

import contextlib
import ctypes
import os
import signal
import time

import supervisor.loggers
import supervisor.process
from supervisor.process import Subprocess
from supervisor.states import ProcessStates, SupervisorStates
from supervisor.supervisord import main

PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 15, 36
STEADY = 60.0  # seconds that a service must have run for its next end not to count as one in a row
LONGEST = 60.0  # seconds between two attempts
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
TICKS = os.sysconf("SC_CLK_TCK")


def start_of(pid: int) -> int | None:
    """When a process was started, in clock ticks since the boot; None when it has ended, reaped or not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            words = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZX" else int(words[19])


def booted() -> float:
    """When the machine was booted, in seconds since the epoch."""
    with open("/proc/stat") as file:
        return float(next(line.split()[1] for line in file if line.startswith("btime ")))


def pause_after(failures: int) -> float:
    """Seconds to wait after so many ends in a row: none after the first, then 1, 2, 4 ... a minute."""
    return min(2.0 ** (min(failures, 10) - 1), LONGEST) if failures else 0.0


class KeptProcess(Subprocess):  # type: ignore[misc]
    """A service: adopted when it runs, and tried for ever, with growing pauses, when it does not stay."""

    def __init__(self, config: object) -> None:
        super().__init__(config)
        self.failures = 0
        self._began = 0.0
        self._not_before = 0.0
        self._adopted: int | None = None  # the start of the process that is not a child of this one
        self._record = os.path.join(os.environ["SKERRY_RECORDS"], self.config.name)
        self._wanted = False
        self._adopt()

    def _adopt(self) -> None:
        try:
            with open(self._record) as file:
                pid, started = map(int, file.read().split())
        except (OSError, ValueError):
            return
        if start_of(pid) == started:
            self.pid, self._adopted, self.laststart = pid, started, booted() + started / TICKS
            young = 0 <= time.time() - self.laststart <= self.config.startsecs
            self.state = ProcessStates.STARTING if young else ProcessStates.RUNNING
            self._began = time.monotonic() - STEADY
            self.config.options.logger.info(f"adopted: {self.config.name} with pid {pid}")
        elif os.environ.get("SKERRY_AGAIN"):
            self._wanted = True
        else:
            self._forget()

    def _forget(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._record)

    def spawn(self) -> object:
        self._began, self._adopted = time.monotonic(), None
        # A stop that comes right after a start must not get lost in the copy of this process, before it is another program.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            pid = super().spawn()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        if pid:
            # Stops go to the group, which the copy may not yet have made for itself: a signal to none is lost as well.
            with contextlib.suppress(OSError):
                os.setpgid(pid, pid)
            # The launcher keeps its process id and its start when it becomes the service.
            with contextlib.suppress(OSError), open(self._record, "w") as file:
                file.write(f"{pid} {start_of(pid) or 0}\n")
        return pid

    def _spawn_as_child(self, filename: str, argv: list[str]) -> None:
        for number in ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        super()._spawn_as_child(filename, argv)

    def stop(self) -> object:
        self._forget()
        self.failures = 0
        return super().stop()

    def transition(self) -> None:
        if self._adopted is not None and self.pid and start_of(self.pid) != self._adopted:
            self._adopted = None
            self.finish(self.pid, 1 << 8)
        if self._wanted and self.config.options.mood > SupervisorStates.RESTARTING:
            self._wanted = False
            self.spawn()
        if self.state == ProcessStates.BACKOFF:
            if time.monotonic() < self._not_before:
                return
            self.delay = 0  # upstream's own pauses grow without an end
        super().transition()

    def finish(self, pid: int, sts: int) -> None:
        asked, lasted = self.killing, time.monotonic() - self._began
        super().finish(pid, sts)
        if asked:
            return
        self.failures = 0 if lasted > STEADY else self.failures + 1
        self._not_before = time.monotonic() + pause_after(self.failures)
        if self.state == ProcessStates.EXITED:
            self.change_state(ProcessStates.BACKOFF)  # a stop during the pause finds something to stop
        self.backoff, self.delay = 0, 0


def prepare() -> None:
    """Reap what the services leave behind (QEMU's probes among them): init may not do it. Be known by a name."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_NAME, b"supervisord", 0, 0, 0)


if __name__ == "__main__":
    prepare()
    supervisor.process.Subprocess = KeptProcess
    # A line that cannot be logged (a full disk) would be an error, whose report cannot be written either, and the end.
    supervisor.loggers.Handler.handleError = lambda self: None
    main()
