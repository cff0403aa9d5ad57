"""What QEMU reports of a migration, by way of libvirt: in the end, and ten times a second on the way."""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Sequence
from contextlib import suppress

from skerry.common.errors import SkerryError
from skerry.migration.site import Site

EVERY = 0.1  # seconds between two samples
MARK = "at"
MARKED = re.compile(rf"{MARK} (\d+\.\d+)")  # when a sample was taken; virsh's prompt follows on the same line
WANTED = {
    "Time elapsed": "total",
    "Total downtime": "downtime",
    "Expected downtime": "expected_downtime",
    "Setup time": "setup",
    "Data processed": "moved",
    "Data remaining": "remaining",
    "Memory bandwidth": "bandwidth",
    "Dirty rate": "dirty_pages",
    "Iteration": "iterations",
    "Auto converge throttle": "throttle",
    "Postcopy requests": "postcopy_requests",
}
SCALE = {"ms": 1.0, "B": 2.0**-20, "KiB": 2.0**-10, "MiB": 1.0, "GiB": 1024.0}


def job_figures(told: str) -> dict[str, float]:
    """The figures that matter of what ``virsh domjobinfo`` prints: ms, MiB, MiB/s and numbers."""
    found: dict[str, float] = {}
    for line in told.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if name.strip() in WANTED and words:
            unit = words[1].removesuffix("/s") if len(words) > 1 else ""
            with suppress(ValueError):
                found[WANTED[name.strip()]] = round(float(words[0]) * SCALE.get(unit, 1.0), 3)
    return found


def samples(lines: Sequence[str]) -> list[dict[str, float]]:
    """The figures of each sample, with ``at`` (seconds since the epoch); those from before a migration are left out."""
    found: list[dict[str, float]] = []
    text: list[str] = []
    for line in lines:
        when = MARKED.match(line)
        if when is None:
            text.append(line)
            continue
        figures = job_figures("\n".join(text))
        text = []
        if "total" in figures:
            found.append({"at": float(when[1]), **figures})
    return found


class Sampler:
    """Asks libvirt on ``host`` about the job of ``domain`` while the block runs; ``found`` are the samples.

    One virsh there answers all questions. It ends with the block, or after ``most`` seconds by itself.
    """

    def __init__(self, site: Site, host: str, domain: str, most: float) -> None:
        self._site, self._host, self._most = site, host, most
        self._lines: list[str] = []
        self._flag = f"/run/skerry-sampling-{domain}"
        flag, ask = shlex.quote(self._flag), f"domjobinfo {domain}"
        self._script = (
            f": >{flag}; i=0; while [ -e {flag} ] && [ $i -lt {int(most / EVERY)} ]; do\n"
            f'echo "{ask}"; echo "echo {MARK} $(date +%s.%N)"; sleep {EVERY}; i=$((i + 1)); done'
            f" | {shlex.join(site.virsh)} -q; rm -f {flag}"
        )
        self._thread = threading.Thread(target=self._follow, name="sampler", daemon=True)

    def _follow(self) -> None:
        with suppress(SkerryError):  # the last question may find no domain any more
            self._site.watch(
                self._host, ["sh", "-c", self._script], self._lines.append, timeout=self._most + 30
            )

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._site.run(self._host, ["rm", "-f", self._flag], check=False)
        self._thread.join(timeout=30)

    @property
    def found(self) -> list[dict[str, float]]:
        return samples(list(self._lines))

    @property
    def rounds(self) -> float:
        """How often QEMU has gone through the memory so far; 0 while it copies disks only."""
        return max((sample.get("iterations", 0.0) for sample in self.found), default=0.0)

    @property
    def copying(self) -> float:
        """For how many seconds it has been copying memory."""
        times = [sample["at"] for sample in self.found if "iterations" in sample]
        return max(times) - min(times) if times else 0.0
