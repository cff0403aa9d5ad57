"""What is known of a lab while it is up: its records, its lock, and its processes.

``/run/skerry-lab/LAB/NAME.json`` describes a host or a switch; other programs may read it (see docs/how-to/lab.md).
What survives a power cycle is in ``/var/lib/skerry-lab/LAB``. Both are under a root folder, for tests.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import AliasChoices, BaseModel, Field

from skerry.common.errors import BusyError, NotFoundError, PreflightError
from skerry.common.files import write_atomically
from skerry.common.locks import held
from skerry.common.namespaces import namespace_of
from skerry.common.process import kill, marked, runs, start_of
from skerry.lab.model import HostPart, LabFile, LinkPart

MARKER = ".skerry-lab"
VARIABLE = "SKERRY_LAB"
FABRIC = ".fabric"  # no host or switch can be called so
SECONDS_TO_WAIT = 20.0  # for another command on the same lab


class LabBusyError(BusyError):
    """Another command works on the lab '{}'."""

    remedy = "Wait for it to end, and run this again."


class NoSuchLabError(NotFoundError):
    """There is no lab '{}'."""

    remedy = "'skerry lab status' lists the labs; 'skerry lab up FILE' makes one."


class Node(BaseModel):
    """A host or a switch that was started: the content of its record."""

    name: str
    kind: str  # host, switch or fabric
    lab: str
    pid: int  # of its first process; 0 while it is off
    started: int = 0  # in clock ticks since the machine's boot, as in /proc/PID/stat
    uuid: str | None = None
    folder: str | None = None  # what it keeps when it is off
    namespaces: list[str] = []  # options of nsenter
    addresses: dict[str, list[str]] = {}  # by interface

    @property
    def alive(self) -> bool:
        return self.pid > 0 and runs(self.pid, self.started)

    @property
    def there(self) -> bool:
        """Whether it is alive or takes its last steps: the first process is the last one to go."""
        return self.pid > 0 and start_of(self.pid) == self.started


class Shape(BaseModel):
    """What a cable does to frames, by its file and by faults. Rates and times are those of one direction."""

    cut: bool = False  # no carrier at either end
    rate: int | None = None  # bits per second
    delay: float = 0.0  # seconds
    loss: float = 0.0  # share of frames


class Cable(BaseModel):
    """A link as it was made."""

    number: int
    link: LinkPart
    made: str = ""  # which sides are: a, b or ab
    shape: Shape | None = None  # what it has been given; None: that is not known
    line: int = 0  # the process that delays, and when that was started
    line_started: int = 0


class Fault(BaseModel):
    """Something that was broken on purpose."""

    number: int
    kind: str  # cut, silent, rate, loss, delay, freeze, kill, power
    link: str | None = None  # the key of the link
    host: str | None = None
    value: float = 0.0  # of rate, loss, delay
    process: str | None = None  # as it was named
    frozen: list[tuple[int, int]] = []  # processes and when they were started
    until: float | None = (
        None  # on this machine's monotonic clock, which its processes share; None: until it is healed
    )
    healer: int = 0  # the process that will heal it, and when that was started
    healer_started: int = 0


class LabState(BaseModel):
    """What the lab should be, and how far that is done. Written before things are made, so that none is forgotten."""

    file: LabFile
    # Labs that an older version made have them under their old name.
    cables: dict[str, Cable] = Field(default={}, validation_alias=AliasChoices("cables", "wires"))
    numbers: dict[str, int] = {}  # of hosts, for the way outside
    network: str | None = None  # of the way outside
    overlay: bool = True
    connected: list[str] = []  # hosts whose way outside is complete
    faults: list[Fault] = []


@dataclass(frozen=True)
class Places:
    """Where a lab has its things."""

    name: str
    root: Path = Path("/")

    @property
    def run(self) -> Path:
        return self.root / "run/skerry-lab" / self.name

    @property
    def folder(self) -> Path:
        return self.root / "var/lib/skerry-lab" / self.name

    def kept_by(self, host: HostPart) -> Path:
        """The folder with what a host keeps when it is off."""
        return Path(host.root) if host.root else self.folder / host.name

    @property
    def state(self) -> Path:
        return self.run / ".lab.json"

    @property
    def mark(self) -> str:
        """The mark in the environment of the lab's own processes; a namespace of processes has labs of its own."""
        return f"{self.run} {namespace_of('self', 'pid')}"

    def node(self, name: str) -> Path:
        return self.run / f"{name}.json"

    def read_node(self, name: str) -> Node | None:
        try:
            return Node.model_validate_json(self.node(name).read_text())
        except (OSError, ValueError):
            return None

    def write_node(self, node: Node) -> None:
        write_atomically(self.node(node.name), node.model_dump_json(indent=1) + "\n")

    def read_state(self) -> LabState | None:
        try:
            return LabState.model_validate_json(self.state.read_text())
        except (OSError, ValueError):
            return None

    def write_state(self, state: LabState) -> None:
        write_atomically(self.state, json.dumps(state.model_dump(mode="json"), indent=1) + "\n")

    def nodes(self) -> list[Node]:
        """Everything that has a record, running or not."""
        names = [path.stem for path in sorted(self.run.glob("*.json")) if not path.name.startswith(".")]
        return [node for name in [*names, FABRIC] if (node := self.read_node(name))]

    @contextmanager
    def locked(self, *, seconds: float = SECONDS_TO_WAIT, make: bool = False) -> Iterator[None]:
        """Hold the lab for this command. Raises LabBusyError after ``seconds``, NoSuchLabError."""
        with ExitStack() as lock:
            try:
                lock.enter_context(held(self.run, seconds=seconds, make="folder" if make else None))
            except BlockingIOError:
                raise LabBusyError(self.name) from None
            except FileNotFoundError:
                raise NoSuchLabError(self.name) from None
            yield

    def take_folder(self) -> None:
        """Make the lab's folder. Raises PreflightError when something else is there."""
        if self.folder.exists() and any(self.folder.iterdir()) and not (self.folder / MARKER).exists():
            raise PreflightError(
                f"{self.folder} is not empty and not a lab's: nothing there is touched.",
                remedy="Move it away, or give the lab another name.",
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / MARKER).touch()

    def remove_folder(self) -> None:
        """Remove what the lab kept, and folders above that are empty then."""
        if (self.folder / MARKER).exists():
            shutil.rmtree(self.folder)
        with suppress(OSError):
            self.folder.parent.rmdir()

    def remove_run(self) -> None:
        shutil.rmtree(self.run, ignore_errors=True)
        with suppress(OSError):
            self.run.parent.rmdir()

    def strays(self) -> list[int]:
        """Processes of this lab that no record names: an earlier run was killed before it could write one."""
        known = {node.pid for node in self.nodes() if node.alive}
        state = self.read_state()
        known |= {fault.healer for fault in state.faults} if state else set()
        return [pid for pid in marked(VARIABLE, self.mark) if pid not in known | {os.getpid()}]

    def end_strays(self) -> None:
        """Kill them, and look again until two looks have found none: one may start another while it is looked for."""
        looks = 0
        while looks < 2:
            found = self.strays()
            kill(found)
            looks = 0 if found else looks + 1


def labs(root: Path) -> list[str]:
    """The names of the labs that are up, in whole or in part."""
    return sorted(path.name for path in (root / "run/skerry-lab").glob("*") if path.is_dir())
