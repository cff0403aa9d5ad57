"""What a supervision back end does. Order and readiness are not its business: steps see to them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from skerry.cloud.model.layout import Layout
from skerry.cloud.supervise.process_marks import end_all
from skerry.cloud.supervise.service import Service
from skerry.common import interrupt
from skerry.common.clock import Clock
from skerry.common.errors import NotReadyError
from skerry.common.files import write_atomically

TIMEOUT = 15.0  # seconds for a service that ends at once, whatever it may be waiting for


@dataclass(frozen=True)
class Process:
    """What the back end knows of a service's process."""

    name: str
    state: str  # running, starting, stopping, stopped, failing (ends at once, is tried again), failed
    pid: int = 0
    since: float = 0.0  # seconds since the epoch
    fingerprint: str = ""  # of the specification that it was started with
    detail: str = ""


class Supervisor(ABC):
    """Starts, stops and restarts services of one host, each from the specification that ``install`` wrote."""

    name: str

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def spec_path(self, name: str) -> Path:
        return self.layout.etc / "services" / f"{name}.json"

    def launcher(self, name: str) -> list[str]:
        """The command that becomes the service."""
        program = self.layout.tree / "src/skerry/cloud/supervise/launch.py"
        return [self.layout.bin("python"), "-I", "-S", str(program), str(self.spec_path(name))]

    def install(self, service: Service) -> None:
        """Write what is needed to start the service; does not start it."""
        write_atomically(self.spec_path(service.name), service.spec(), mode=0o600)

    def installed(self) -> list[str]:
        """The names of all services that were ever installed and not forgotten."""
        return sorted(path.stem for path in self.spec_path("x").parent.glob("*.json"))

    @abstractmethod
    def begin(self) -> None:
        """Make the back end itself run."""

    @abstractmethod
    def running(self) -> bool:
        """Whether the back end itself runs."""

    def whole(self) -> bool:
        """Whether the back end runs, and would be started again if it were killed."""
        return self.running()

    @abstractmethod
    def processes(self) -> dict[str, Process]:
        """All known services, by name; empty when the back end does not run."""

    @abstractmethod
    def start(self, service: Service) -> None:
        """Start the service, restarting it when it runs."""

    @abstractmethod
    def stop(self, name: str) -> None:
        """Stop the service and its process group."""

    @abstractmethod
    def forget(self, name: str) -> None:
        """Stop the service and remove what ``install`` wrote."""

    def end(self) -> None:
        """End the back end itself, after all services were stopped, and what they have left running on purpose.

        The broker's epmd, the metadata agent's proxies and privileged helpers outlive a restart of theirs.
        """
        end_all(self.layout)

    def process(self, name: str) -> Process:
        return self.processes().get(name, Process(name, "stopped"))

    def log_path(self, name: str) -> Path:
        return self.layout.log / f"{name}.log"

    def last_line(self, name: str) -> str:
        """The last line of the service's log that speaks of an error, or the last line."""
        try:
            with self.log_path(name).open("rb") as file:
                file.seek(max(0, self.log_path(name).stat().st_size - 16384))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        lines = [line.strip() for line in lines if line.strip()]
        told = [line for line in lines[-40:] if "ERROR" in line or "Error" in line or "CRITICAL" in line]
        return (told or lines or [""])[-1][-300:]

    def wait_ready(self, service: Service) -> float:
        """Wait until the service's probe is content; returns the seconds that it took.

        Raises NotReadyError, with what was missing and the last error line of the log, when the service
        has failed for good or ``service.ready_seconds``, as of an idle machine, are over.
        """
        started, clock = time.monotonic(), Clock()
        missing: str | None = "it has not started"
        while clock.now() < service.ready_seconds:
            interrupt.check()
            waited = time.monotonic() - started
            process = self.process(service.name)
            if process.state == "failed" or (process.state == "failing" and waited > TIMEOUT):
                missing = f"it ended again and again ({process.detail})"
                break
            if process.pid:
                missing = service.ready.missing(process.pid)
                if missing is None:
                    return waited
            time.sleep(min(0.1 + waited / 20, 0.5))  # asking takes time from what it waits for
        said = self.last_line(service.name)
        raise NotReadyError(
            service.name,
            f"{time.monotonic() - started:.0f}",
            f"{missing}" + (f". The end of its log: {said}" if said else ""),
        )
