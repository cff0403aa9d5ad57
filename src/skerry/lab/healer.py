"""Waits until a fault is to heal, and heals it: ``python -m skerry.lab.healer ROOT LAB FAULT SECONDS``.

It outlives the command that made the fault. When that was killed in between, the time counts from the healer's start.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from skerry.common.errors import SkerryError
from skerry.lab import faults
from skerry.lab.state import Fault, Places

KILLS = 0.1  # seconds between two looks for what is to be killed
SECONDS_TO_WAIT = 300.0  # seconds for another command to let the lab go


def main(root: str, name: str, number: int, duration: float) -> None:
    places = Places(name, Path(root))
    born = time.monotonic()
    print(os.getpid(), flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    while True:
        fault = _read(places, number)
        now = time.monotonic()
        # Not yet written down as made: its command is still at it, or was killed.
        until = born + duration if fault is None or fault.until is None else fault.until
        if fault is None or now >= until:
            break
        if fault.kind == "kill" and fault.until is not None:
            faults.kill_again(places, fault)
        time.sleep(min(KILLS, until - now) if fault.kind == "kill" or fault.until is None else until - now)
    if fault is None:
        return
    with places.locked(seconds=SECONDS_TO_WAIT):
        state = places.read_state()
        mine = [one for one in state.faults if one.number == number] if state else []
        if state and mine:
            faults.end(places, state, mine)


def _read(places: Places, number: int) -> Fault | None:
    state = places.read_state()
    return next((fault for fault in state.faults if fault.number == number), None) if state else None


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    except SkerryError as error:
        sys.exit(str(error))
