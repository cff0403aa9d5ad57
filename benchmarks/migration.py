"""What a live migration costs on a cloud across three hosts of a lab: idle, busy, and thirty times under load.

Prints a JSON list of figures. It makes lab and cloud itself, and takes them away again. The peers' figures are those of
a guest that was moved by libvirt alone between two namespaces of the same kind of machine (libvirt 9.0, QEMU 7.2 and
10.0, TCG), and those of the thesis whose experiment this is. Needs root.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloud import figure
from skerry.cli.test import KEEPS, prepare
from skerry.cloud.layout import Layout
from skerry.common.errors import NotFoundError
from skerry.lab.lab import Lab, take_down
from skerry.lab.model import parse
from skerry.lab.state import Places

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "tests/cloud"))  # the cloud is the one that the tests have

from spread import lab_text, spread_over  # noqa: E402

ROOT = Path("/var/tmp/skerry-bench/migration")
NAME = "bench-migration"
IDLE, BUSY, CHECKED = 10, 5, 30  # migrations of each kind
PLAN = f"""
crowded = false
[flavors]
tiny = {{memory = 256, disk = 1}}
[[part]]
flavors = ["tiny"]
dirty = [0]
modes = ["auto-converge"]
times = {IDLE}
[[part]]
flavors = ["tiny"]
dirty = [40]
modes = ["auto-converge"]
times = {BUSY}
[[part]]
flavors = ["tiny"]
dirty = [10]
modes = ["auto-converge"]
times = {CHECKED}
"""
BY_HAND = "libvirt by hand"
THESIS = "the thesis, Tiny: 5 of 50 probes lost, one a second"


def within(deadline: float, what: str, probe: Callable[[], Any]) -> Any:
    begun = time.monotonic()
    while not (found := probe()):
        if time.monotonic() - begun > deadline:
            raise AssertionError(f"{what}: not within {deadline:.0f} s")
        time.sleep(0.2)
    return found


def measured() -> list[dict[str, Any]]:
    """The raw rows of the evaluation."""
    prepare()
    ROOT.mkdir(parents=True, exist_ok=True)
    places = Places(NAME, ROOT.resolve())
    with suppress(NotFoundError):
        take_down(places)  # of a run that was killed
    lab = Lab(parse(tomllib.loads(lab_text(NAME)), "the benchmark's lab file"), ROOT)
    with lab, tempfile.TemporaryDirectory() as keys:
        cloud = spread_over(lab, Layout.at(KEEPS).cache, Path(keys), within)
        cloud.up()
        cloud.host.run(["sh", "-c", f"cat >/var/lib/plan.toml <<'E'\n{PLAN}E"])
        words = [
            "migration",
            "run",
            "--plan",
            "/var/lib/plan.toml",
            "--out",
            "/var/lib/evaluation",
            "--no-captures",
        ]
        running = cloud.host.popen([*cloud.argv, *words])
        for line in running.process.stdout or ():
            print(line, end="", file=sys.stderr)
        if running.process.wait():
            raise SystemExit("the evaluation failed")
        told = cloud.host.run(["cat", "/var/lib/evaluation/runs.jsonl"]).stdout
    return [json.loads(line) for line in told.splitlines()]


def figures(rows: list[dict[str, Any]]) -> list[dict[str, object]]:
    """Medians of the runs that count, by kind."""

    def kind(dirty: int) -> list[dict[str, Any]]:
        return [row for row in rows if row["dirty"] == dirty]

    def good(chosen: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in chosen if not row["failure"] and row.get("trustworthy")]

    def middle(chosen: list[dict[str, Any]], name: str, digits: int) -> float:
        return round(statistics.median(row[name] for row in chosen), digits)

    found = []
    for label, dirty, peers in (
        ("idle", 0, (0.84, 5000.0, 24.0)),
        ("40 MiB/s written", 40, (1.13, None, 80.0)),
        ("10 MiB/s written and checked", 10, (None, None, None)),
    ):
        chosen = good(kind(dirty))
        if not chosen:
            continue
        of = f"{len(chosen)} of {len(kind(dirty))} count; seen: "
        for name, title, unit, digits, must, peer, peer_value in (
            ("seconds", "total time", "s", 2, 3.0, BY_HAND, peers[0]),
            ("network_downtime", "network downtime", "ms", 0, 150.0, THESIS, peers[1]),
            ("qemu_downtime", "QEMU's downtime", "ms", 0, None, BY_HAND, peers[2]),
        ):
            seen = [row[name] for row in chosen if name in row]
            found.append(
                figure(
                    f"256 MiB, {label}: {title}",
                    middle(chosen, name, digits),
                    unit,
                    must if dirty == 0 else None,
                    None,
                    len(chosen),
                    f"median; {of}{min(seen):.{digits}f} to {max(seen):.{digits}f}",
                    peer=peer if peer_value else None,
                    peer_value=peer_value,
                )
            )
    busy, checked = kind(40), [row for row in kind(10) if not row["failure"]]
    arrived = [row for row in busy if not row["failure"]]
    how = f"of {len(busy)} migrations; measured rate {sorted(row['guest_rate'] for row in arrived)} MiB/s"
    found.append(
        figure("40 MiB/s dirtier: converged", len(arrived), "migrations", BUSY, None, len(busy), how)
    )
    how = f"readings of {sum(row['guest_checks'] for row in checked)} patterns in {len(checked)} migrations"
    corrupt = sum(row["guest_corrupt"] for row in checked)
    found.append(
        figure("memory checksummer: corrupt readings", corrupt, "readings", 0, None, len(checked), how)
    )
    return found


if __name__ == "__main__":
    print(json.dumps(figures(measured()), indent=1))
