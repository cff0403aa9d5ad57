"""Faults: links cut or made bad, processes frozen or killed, hosts without power, and how all of that heals by itself.

A fault is written down before it is made, and a process of its own that outlives the command waits to heal it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from skerry.common import log
from skerry.common.errors import NotFoundError, PreflightError
from skerry.common.process import find, start_of
from skerry.lab.builder import Builder
from skerry.lab.links import shaping
from skerry.lab.state import FABRIC, VARIABLE, Cable, Fault, LabState, Places

LINK_FAULTS = ("cut", "silent", "rate", "loss", "delay")
ALWAYS_ON = "the first process of a host cannot be frozen or killed: use power off"
HEALER_PATIENCE = 20.0  # seconds for a healer to start


def find_link(state: LabState, text: str) -> Cable:
    """A link by its name, an end, both ends, or its host if that has one link. Raises NotFoundError."""
    found = [
        cable
        for key, cable in state.cables.items()
        if text
        in (
            key,
            cable.link.name,
            *cable.link.ends,
            "--".join(cable.link.ends),
            "--".join(cable.link.ends[::-1]),
        )
    ]
    if not found:
        found = [
            cable for cable in state.cables.values() if text in (host for host, _ in cable.link.host_ends)
        ]
    links = [cable for cable in found if cable.link.name == text or text not in cable.link.switches]
    if len(links or found) == 1:
        return (links or found)[0]
    choices = found or list(state.cables.values())
    names = ", ".join(cable.link.name or _short(cable) for cable in choices) or "none"
    what = f"'{text}' is an end of several links." if found else f"There is no link '{text}'."
    raise NotFoundError(what, remedy=f"Name one of: {names}" if found else f"There are: {names}")


def _short(cable: Cable) -> str:
    """The shortest text that names a link."""
    return next((end for end in cable.link.ends if ":" in end), "--".join(cable.link.ends))


def processes(places: Places, host: str, text: str) -> list[tuple[int, int]]:
    """Processes of a host by the name of their program, or by the number that they have there.

    As this machine numbers them, and when each was started. Raises NotFoundError when there is none.
    """
    node = places.read_node(host)
    if node is None or not node.alive:
        raise PreflightError(
            f"The host {host} is off.", remedy=f"'skerry lab fault power {host} on' starts it."
        )
    found = list(find(node.pid, text))
    if not found:
        raise NotFoundError(
            f"On the host {host}, no process is '{text}'.",
            remedy=f"'skerry lab exec {host} -- ps ax' lists them.",
        )
    if node.pid in (pid for pid, _ in found):
        raise NotFoundError(f"On the host {host}, {ALWAYS_ON}.", remedy=f"skerry lab fault power {host} off")
    return found


def begin(places: Places, state: LabState, fault: Fault, duration: float | None) -> Fault:
    """Make a fault that heals after ``duration`` seconds, if any. The caller holds the lab's lock."""
    fault.number = max((other.number for other in state.faults), default=0) + 1
    state.faults.append(fault)
    places.write_state(state)
    if duration is not None:
        _start_healer(places, fault, duration)
        places.write_state(state)
    try:
        _make(places, state, fault)
    except BaseException:
        end(places, state, [fault])
        raise
    if duration is not None:
        fault.until = time.monotonic() + duration
    elif fault.kind == "kill":
        state.faults.remove(fault)  # nothing to heal
    places.write_state(state)
    return fault


def _start_healer(places: Places, fault: Fault, duration: float) -> None:
    """Start the process that will heal the fault, and wait until it is ready to."""
    argv = [
        *("setsid", "--fork", sys.executable, "-m", "skerry.lab.healer"),
        *(str(places.root), places.name, str(fault.number), str(duration)),
    ]
    healer = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), VARIABLE: places.mark},
    )
    log.started(argv, healer.pid)
    assert healer.stdout is not None
    with healer.stdout as said:
        healer.wait()
        ready = select.select([said], [], [], HEALER_PATIENCE)[0]
        answer = said.readline().strip() if ready else ""
    if not answer.isdigit():
        raise PreflightError("The process that would heal the fault does not start.", remedy="Run it again.")
    fault.healer, fault.healer_started = int(answer), start_of(int(answer)) or 0


def _make(places: Places, state: LabState, fault: Fault) -> None:
    if fault.kind in LINK_FAULTS:
        reshape(places, state)
    elif fault.kind == "power":
        Builder(places, state).power_off(str(fault.host))
    elif fault.kind == "kill":
        for pid, _ in processes(places, str(fault.host), str(fault.process)):
            _signal(pid, signal.SIGKILL)
    else:
        fault.frozen = processes(places, str(fault.host), str(fault.process))
        places.write_state(state)
        for pid, _ in fault.frozen:
            _signal(pid, signal.SIGSTOP)


def end(places: Places, state: LabState, faults: Iterable[Fault]) -> None:
    """Heal faults. The caller holds the lab's lock."""
    for fault in list(faults):
        if fault in state.faults:
            state.faults.remove(fault)
        if fault.kind == "freeze":
            for pid, started in fault.frozen:
                if start_of(pid) == started and not _frozen_otherwise(state, pid):
                    _thaw(pid)
        elif fault.kind == "power" and not any(
            other.kind == "power" and other.host == fault.host for other in state.faults
        ):
            Builder(places, state).converge({str(fault.host)})
        if fault.healer != os.getpid() and has_healer(fault):
            _signal(fault.healer, signal.SIGKILL)
    reshape(places, state)
    places.write_state(state)


def has_healer(fault: Fault) -> bool:
    """Whether the process that will heal it is alive."""
    return fault.healer > 0 and start_of(fault.healer) == fault.healer_started


def expire(places: Places, state: LabState) -> None:
    """Heal what should have healed by now, but whose healer is gone. The caller holds the lab's lock."""
    now = time.monotonic()
    late = [
        fault
        for fault in state.faults
        if fault.until is not None and fault.until < now and not has_healer(fault)
    ]
    if late:
        end(places, state, late)


def reshape(places: Places, state: LabState) -> None:
    """Bring the cables to the state that the file and the faults ask for."""
    pids = {node.name: node.pid for node in places.nodes() if node.alive}
    if FABRIC in pids:
        shaping.apply(state, pids[FABRIC], pids, lambda: places.write_state(state))


def kill_again(places: Places, fault: Fault) -> None:
    """Kill again what a lasting fault has killed and what has come back."""
    with suppress(NotFoundError, PreflightError):
        for pid, _ in processes(places, str(fault.host), str(fault.process)):
            _signal(pid, signal.SIGKILL)


def _frozen_otherwise(state: LabState, pid: int) -> bool:
    return any(pid in (other for other, _ in fault.frozen) for fault in state.faults)


def _thaw(pid: int) -> None:
    """Let a process continue; and its parent, if that is an nsenter, which stops when what it started stops."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid).parent()
        if parent and parent.name() == "nsenter" and parent.status() == psutil.STATUS_STOPPED:
            _signal(parent.pid, signal.SIGCONT)
    _signal(pid, signal.SIGCONT)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
