"""A lab as Python sees it: hosts to run programs on, and faults that last as long as a block.

A lab outlives the program that made it. Everything of it is found again by its records and by a mark in the
environment of its processes, so that whatever a killed run left is completed, or removed, by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from skerry.common.errors import NotFoundError
from skerry.common.process import kill
from skerry.lab import builder, faults
from skerry.lab.builder import Builder
from skerry.lab.hosts.namespaces import Inside
from skerry.lab.links import uplink
from skerry.lab.model import LabFile
from skerry.lab.state import Fault, LabBusyError, LabState, NoSuchLabError, Places, labs

Say = Callable[[str], None]


class LabHost(Inside):
    """A host of a lab: run programs there, enter its network, power it off and on."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name = lab, name

    @property
    def pid(self) -> int:  # type: ignore[override]
        """The number of its first process, as this machine counts; 0 while it is off."""
        node = self.lab.places.read_node(self.name)
        if node is None:
            raise NoSuchLabError(self.lab.name)
        self.spaces = node.namespaces
        return node.pid if node.alive else 0

    @property
    def uuid(self) -> str:
        return str(self.lab.file.uuid_of(self.name))

    @property
    def folder(self) -> Path:
        """What it keeps when it is off: ``etc`` (its changes, or all of it) and ``var``; or its own system."""
        return self.lab.places.kept_by(self.lab.file.host_part(self.name))

    @property
    def address(self) -> str | None:
        """Its first address, without the prefix length."""
        return self.lab.file.address_of(self.name)

    def power_off(self) -> None:
        """Pull the plug: all processes die at once; /run, /tmp and /dev/shm are lost."""
        self.lab.break_("power", host=self.name)

    def power_on(self) -> None:
        """Start it with what it kept, and plug its cables in. Nothing happens when it is on."""
        with self.lab.places.locked():
            state = self.lab.state()
            off = [fault for fault in state.faults if fault.kind == "power" and fault.host == self.name]
            faults.end(self.lab.places, state, off)
            Builder(self.lab.places, state).converge({self.name})


class Lab:
    """A lab, as a context manager or with ``up`` and ``down``.

    ``root`` is the folder under which ``run/skerry-lab`` and ``var/lib/skerry-lab`` are.

    Faults on links are methods that return context managers: ``with lab.cut("h1:eth0"): ...``. A link is named by its
    name, by the end at a host, or by ``SWITCH--SWITCH``.
    """

    def __init__(self, file: LabFile, root: Path | str = "/") -> None:
        self.file = file
        self.name = file.name
        self.places = Places(file.name, Path(root).resolve())

    @classmethod
    def open(cls, name: str | None = None, root: Path | str = "/") -> Lab:
        """A lab that is up: by its name, or the only one. Raises NoSuchLabError or NotFoundError."""
        chosen = name or only(root)
        state = Places(chosen, Path(root).resolve()).read_state()
        if state is None:
            raise NoSuchLabError(chosen)
        return cls(state.file, root)

    def __enter__(self) -> Lab:
        try:
            self.up()
        except LabBusyError:
            raise  # it is somebody else's
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.down()

    @property
    def hosts(self) -> dict[str, LabHost]:
        return {part.name: LabHost(self, part.name) for part in self.file.host}

    def host(self, name: str) -> LabHost:
        """A host by its name. Raises NotFoundError, which names those that there are."""
        hosts = self.hosts
        if name not in hosts:
            raise NotFoundError(
                f"The lab '{self.name}' has no host '{name}'.", remedy=f"There are: {', '.join(hosts)}"
            )
        return hosts[name]

    def state(self) -> LabState:
        """What is known of it. Raises NoSuchLabError when it is not up."""
        state = self.places.read_state()
        if state is None:
            raise NoSuchLabError(self.name)
        return state

    def up(self) -> list[str]:
        """Bring the lab to the state that its file describes, and heal what was broken on purpose.

        Returns what was done: nothing when all was so already. Raises PreflightError where namespaces cannot be made,
        LabBusyError while another command works on the lab, CommandError.
        """
        builder.preflight(self.file)
        with self.places.locked(make=True):
            try:
                self.places.take_folder()
            except BaseException:
                if not self.places.state.exists():
                    self.places.remove_run()
                raise
            self.places.end_strays()
            old = self.places.read_state()
            state = builder.merge(self.places, self.file, old)
            done = list(builder.take_out(self.places, old, state)) if old else []
            healed, state.faults = state.faults, []
            self.places.write_state(state)
            done += Builder(self.places, state).converge({part.name for part in self.file.host})
            faults.end(self.places, state, healed)
            return done + [f"fault {fault.number} ({fault.kind}) healed" for fault in healed]

    def down(self, *, keep: bool = False) -> None:
        """Take the lab down: processes, interfaces, and its folder unless ``keep``."""
        take_down(self.places, keep=keep)

    # -- faults -----------------------------------------------------------------------------------------

    def break_(
        self,
        kind: str,
        *,
        link: str | None = None,
        host: str | None = None,
        process: str | None = None,
        value: float = 0.0,
        duration: float | None = None,
    ) -> Fault:
        """Make a fault (``kind`` is cut, silent, rate, loss, delay, freeze, kill or power).

        It heals by itself after ``duration`` seconds, even if this program has ended by then; otherwise with ``heal``
        or the next ``up``. ``value`` is bits per second, a share, or seconds. Raises NotFoundError, PreflightError.
        """
        if host is not None:
            self.host(host)
        with self.places.locked():
            state = self.state()
            faults.expire(self.places, state)
            key = faults.find_link(state, link).link.key if link is not None else None
            fault = Fault(number=0, kind=kind, link=key, host=host, process=process, value=value)
            return faults.begin(self.places, state, fault, duration)

    def heal(self, fault: Fault | int | None = None) -> list[Fault]:
        """Heal one fault, or all; returns those that it healed.

        Raises NotFoundError when a fault is given by its number and there is none with it.
        """
        number = fault.number if isinstance(fault, Fault) else fault
        with self.places.locked():
            state = self.state()
            chosen = [one for one in state.faults if number in (None, one.number)]
            if isinstance(fault, int) and not chosen:
                raise NotFoundError(f"There is no fault {fault}.", remedy="'skerry lab status' lists them.")
            faults.end(self.places, state, chosen)
            return chosen

    @contextmanager
    def _broken(self, fault: Fault) -> Iterator[Fault]:
        try:
            yield fault
        finally:
            self.heal(fault)

    @contextmanager
    def cut(self, link: str, *, silent: bool = False) -> Iterator[Fault]:
        """Cut a link: both ends lose their carrier, or, ``silent``, keep it while every frame vanishes."""
        with self._broken(self.break_("silent" if silent else "cut", link=link)) as fault:
            yield fault

    @contextmanager
    def rate(self, link: str, bits_per_second: int) -> Iterator[Fault]:
        """Limit what a link carries in each direction."""
        with self._broken(self.break_("rate", link=link, value=bits_per_second)) as fault:
            yield fault

    @contextmanager
    def loss(self, link: str, share: float) -> Iterator[Fault]:
        """Lose a share (0 to 1) of the frames in each direction, drawn at random."""
        with self._broken(self.break_("loss", link=link, value=share)) as fault:
            yield fault

    @contextmanager
    def delay(self, link: str, seconds: float) -> Iterator[Fault]:
        """Let frames arrive later, in each direction, in their order."""
        with self._broken(self.break_("delay", link=link, value=seconds)) as fault:
            yield fault

    @contextmanager
    def freeze(self, host: str, process: str) -> Iterator[Fault]:
        """Stop processes of a host, by the name of their program or their number there; they continue afterwards."""
        with self._broken(self.break_("freeze", host=host, process=process)) as fault:
            yield fault

    @contextmanager
    def without_power(self, host: str) -> Iterator[Fault]:
        """Pull a host's plug; it is started again afterwards."""
        with self._broken(self.break_("power", host=host)) as fault:
            yield fault


def only(root: Path | str = "/") -> str:
    """The name of the only lab. Raises NotFoundError when there is none or are several."""
    have = labs(Path(root).resolve())
    if len(have) == 1:
        return have[0]
    if have:
        raise NotFoundError(f"There are several labs: {', '.join(have)}.", remedy="Name one of them.")
    raise NotFoundError("There is no lab.", remedy="'skerry lab up FILE' makes one.")


def take_down(places: Places, *, keep: bool = False) -> None:
    """Take a lab down, even one that was made in part only. Raises NoSuchLabError, LabBusyError."""
    if not places.run.is_dir() and not places.strays() and not places.folder.exists():
        raise NoSuchLabError(places.name)
    with places.locked(make=True):
        state = places.read_state()
        kill(fault.healer for fault in (state.faults if state else []) if faults.has_healer(fault))
        kill([node.pid for node in places.nodes() if node.there])
        places.end_strays()
        uplink.remove(places)
        if not keep:
            places.remove_folder()
        places.remove_run()
