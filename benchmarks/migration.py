"""What a live migration costs on a cloud across three hosts of a lab: idle, busy, and thirty times under load.

Prints a JSON list of figures, and keeps the evaluation (report, raw data, traces) in ROOT. It makes lab and cloud
itself, and removes them again. The peers' figures are those of a guest that was moved by libvirt alone between two
namespaces of the same kind of machine (libvirt 9.0, QEMU 7.2 and 10.0, TCG), and those of the thesis whose experiment
this is. Total time is the hypervisor's, as it is theirs; what nova adds is a figure of its own. Needs root.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.cloud_across_hosts import Spread, lab_text, spread_over

from benchmarks.cloud import figure
from skerry.cli.develop.test import KEEPS, prepare
from skerry.cloud.model.layout import Layout
from skerry.common.errors import NotFoundError
from skerry.lab.lab import Lab, take_down
from skerry.lab.model import parse
from skerry.lab.state import Places
from skerry.migration.evaluation.estimate import fit
from skerry.migration.evaluation.report import bandwidths
from skerry.migration.evaluation.results import Results

ROOT = Path("/var/tmp/skerry-bench/migration")
NAME = "bench-migration"
IDLE, BUSY, CHECKED = 10, 5, 30  # migrations of each kind
SETTLES = 20.0  # seconds for a guest to boot and become quiet
PLAN = f"""
crowded = false
[flavors]
tiny = {{memory = 256, disk = 1}}
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
[[part]]
flavors = ["tiny"]
dirty = [0, 10]
rates = [20, 40]
modes = ["pre-copy"]
times = 3
[[part]]
flavors = ["tiny"]
dirty = [10]
rates = [20]
modes = ["post-copy"]
times = 3
[[part]]
flavors = ["tiny"]
dirty = [10]
modes = ["block"]
times = 3
"""
BY_HAND = "libvirt by hand"
THESIS = "the thesis, Tiny: 5 of 50 probes lost, one a second"


def within(deadline: float, what: str, probe: Callable[[], Any]) -> Any:
    started = time.monotonic()
    while not (found := probe()):
        if time.monotonic() - started > deadline:
            raise AssertionError(f"{what}: not within {deadline:.0f} s")
        time.sleep(0.2)
    return found


def idle(cloud: Spread) -> list[dict[str, Any]]:
    """The raw rows of a server that does nothing: those of the evaluation check their memory all the time."""
    server = [
        "--image",
        "tiny",
        "--flavor",
        "m1.tiny",
        "--network",
        "private",
        "--security-group",
        "ssh-ping",
    ]
    cloud.run("openstack", "server", "create", *server, "--wait", "idle", timeout=300)
    made = cloud.run("openstack", "floating", "ip", "create", "public", "-f", "value", "-c", "name")
    cloud.run("openstack", "server", "add", "floating", "ip", "idle", made.stdout.strip())
    time.sleep(SETTLES)
    told = cloud.run("migration", "run", "idle", "--times", str(IDLE), "--json", timeout=900)
    print(told.stderr, file=sys.stderr)
    cloud.run("openstack", "server", "delete", "--wait", "idle")
    return [{**row, "dirty": 0, "mode": "auto-converge", "rate": 0} for row in json.loads(told.stdout)]


def measured() -> list[dict[str, Any]]:
    """The raw rows of the idle server, and of the evaluation."""
    prepare()
    ROOT.mkdir(parents=True, exist_ok=True)
    places = Places(NAME, ROOT.resolve())
    with suppress(NotFoundError):
        take_down(places)  # of a run that was killed
    lab = Lab(parse(lab_text(NAME), "the benchmark's lab file"), ROOT)
    with lab, tempfile.TemporaryDirectory() as keys:
        cloud = spread_over(lab, Layout.at(KEEPS).cache, Path(keys), within)
        cloud.up()
        rows = idle(cloud)
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
        shutil.rmtree(ROOT / "evaluation", ignore_errors=True)
        shutil.copytree(cloud.host.folder / "var/lib/evaluation", ROOT / "evaluation")
    return [*rows, *Results(ROOT / "evaluation").rows()]


def figures(rows: list[dict[str, Any]]) -> list[dict[str, object]]:
    """Medians of the runs that count, by kind."""

    def kind(dirty: int, mode: str = "auto-converge", rate: int = 0) -> list[dict[str, Any]]:
        return [row for row in rows if (row["dirty"], row["mode"], row["rate"]) == (dirty, mode, rate)]

    def good(chosen: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in chosen if not row["failure"] and row.get("trustworthy")]

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
        for name, title, unit, scale, must, peer, peer_value in (
            ("qemu_total", "total time", "s", 1000, 3.0, BY_HAND, peers[0]),
            ("seconds", "from the request to nova's end", "s", 1, None, "", None),
            ("private_network_downtime", "network downtime", "ms", 1, 150.0, THESIS, peers[1]),
            ("network_downtime", "network downtime at the floating address", "ms", 1, None, "", None),
            ("qemu_downtime", "QEMU's downtime", "ms", 1, None, BY_HAND, peers[2]),
        ):
            seen, digits = [row[name] / scale for row in chosen if name in row], 2 if unit == "s" else 0
            found.append(
                figure(
                    f"256 MiB, {label}: {title}",
                    round(statistics.median(seen), digits),
                    unit,
                    must if dirty == 0 else None,
                    None,
                    len(seen),
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
    for mode, rate in (("post-copy", 20), ("block", 0)):
        tried = kind(10, mode, rate)
        arrived = [row for row in tried if not row["failure"]]
        how = f"10 MiB/s written, at most {rate or 'any'} MiB/s sent; seconds: {[row['seconds'] for row in arrived]}"
        found.append(
            figure(f"{mode}: arrived", len(arrived), "migrations", len(tried), None, len(tried), how)
        )
    model = fit([point for point in bandwidths(rows) if point[0] > point[1]])
    if model:
        how = f"R² of T = {model.fixed:.2f} s + {model.volume:.0f} MiB / (B - D), with limits of 20 and 40 MiB/s"
        found.append(figure("the model's fit", round(model.explained, 3), "", None, None, model.count, how))
    return found


if __name__ == "__main__":
    print(json.dumps(figures(measured()), indent=1))
