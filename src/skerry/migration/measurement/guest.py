"""Load inside a guest, and what the guest itself sees of its migration: see guest.sh, which runs there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

from skerry.common.errors import StepError

Shell = Callable[[str], str]  # runs a script on the guest as root, and returns what it prints
PLACE = "/run/migration-load.sh"
SHARE = 4  # the writer's area is this part of the memory
CHECKED = 8  # MiB that the checker writes again and reads back
DISK = 64  # MiB on the disk, for the mode 'block'
SETTLE = 2.0  # seconds over which the writer's rate is taken
LOOKS = 3  # at the rate; a busy machine may halt the guest in one of them
SHORT = 0.5  # of the rate that was asked for is too little; what it was is in each row


@dataclass(frozen=True)
class Reading:
    """What a guest reported."""

    written: int  # MiB since the load began
    rounds: int  # patterns that were checked
    bad: int  # readings that gave another sum than what was written
    jump: float  # the longest time between two ticks (of 20 ms) since the reading before, seconds of its own clock

    @classmethod
    def parse(cls, told: str) -> Reading:
        """From the line of ``guest.sh read``. Raises StepError for anything else."""
        try:
            written, rounds, bad, longest = (int(word) for word in told.split())
        except ValueError:
            raise StepError("guest", f"it reported '{told.strip()[:80]}' as its load") from None
        return cls(written, rounds, bad, longest / 100)


class Load:
    """Load on a guest that ``shell`` reaches, as a context manager.

    ``memory`` is the guest's in MiB, ``dirty`` what it is to write in MiB a second; ``disk`` adds writes of ``dirty``
    to its disk; ``checked`` lets it check patterns in its memory.

    Raises StepError when the guest does not keep the rate that was asked for.
    """

    def __init__(
        self, shell: Shell, memory: int, dirty: int, *, checked: bool = True, disk: bool = False
    ) -> None:
        self._shell, self.memory, self.dirty = shell, memory, dirty
        self._checked, self._disk = checked, disk
        self.rate = 0.0  # MiB/s that it did write before the migration

    def __enter__(self) -> Load:
        text = resources.files(__package__).joinpath("guest.sh").read_text()
        area = max(16, self.memory // SHARE)
        commands = [
            f"cat >{PLACE} <<'END_OF_FILE'\n{text}END_OF_FILE",
            f"chmod 755 {PLACE}",
            f"{PLACE} start {self.dirty} {area} {CHECKED if self._checked else 0}",
        ]
        if self._disk:
            commands.append(f"{PLACE} disk {DISK} {min(self.dirty, 10)}")
        try:
            self._shell("\n".join(commands))
            self._verify()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._shell(f"[ ! -e {PLACE} ] || {PLACE} stop")
        except StepError:
            pass  # a guest that does not answer has no load to stop

    def read(self) -> tuple[Reading, float]:
        """What the guest reports, and when (seconds of this machine's monotonic clock, half-way of the question)."""
        asked = time.monotonic()
        reading = Reading.parse(self._shell(f"{PLACE} read"))
        return reading, (asked + time.monotonic()) / 2

    def _verify(self) -> None:
        if not self.dirty:
            return
        time.sleep(1)
        for _ in range(LOOKS):
            first, asked = self.read()
            time.sleep(SETTLE)
            second, again = self.read()
            self.rate = rate_between(first, second, again - asked)
            if self.rate >= self.dirty * SHORT:
                break
        else:
            raise StepError(
                "load",
                f"the guest writes {self.rate:.1f} MiB/s of the {self.dirty} that were asked for",
                remedy="The machine is too slow for this load, or busy: ask for less with --dirty.",
            )


def rate_between(first: Reading, second: Reading, seconds: float) -> float:
    """MiB/s that were written between two readings that were ``seconds`` apart.

    They are ours: the clock of a guest that was booted on a busy machine may run wrong by a third (TCG).
    """
    return (second.written - first.written) / seconds if seconds > 0 else 0.0
