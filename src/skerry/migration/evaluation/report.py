"""The report of an evaluation: one HTML page that needs nothing else, made from the raw rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from skerry.common.errors import NotFoundError
from skerry.migration.evaluation import plots, thesis
from skerry.migration.evaluation.estimate import Estimate, Row, counts, fit, median, values
from skerry.migration.evaluation.results import Results
from skerry.migration.plan import MODES

PAGE = "report.html"
NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Column:
    """A column of the table of all figures: the raw row's name, a heading, a unit, and how a value is shown."""

    name: str
    title: str
    unit: str
    form: str = "%.0f"
    worst: bool = False  # the worst of the runs in place of the median


COLUMNS = (
    Column("seconds", "total", "s", "%.2f"),
    Column("qemu_total", "QEMU's part", "ms"),
    Column("network_downtime", "network downtime", "ms"),
    Column("udp_network_downtime", "by UDP", "ms"),
    Column("private_network_downtime", "at the private address", "ms"),
    Column("qemu_downtime", "QEMU's downtime", "ms"),
    Column("gaps", "sum of gaps", "ms"),
    Column("lost", "lost", "probes", "%.1f"),
    Column("before_p50", "p50 before", "ms", "%.2f"),
    Column("during_p50", "p50 during", "ms", "%.2f"),
    Column("during_p99", "p99 during", "ms", "%.1f"),
    Column("during_longest", "longest", "ms"),
    Column("after_p50", "p50 after", "ms", "%.2f"),
    Column("jitter", "jitter", "ms", "%.2f"),
    Column("qemu_moved", "moved", "MiB"),
    Column("throughput", "throughput", "MiB/s", "%.1f"),
    Column("qemu_iterations", "rounds", ""),
    Column("guest_rate", "written", "MiB/s", "%.1f"),
    Column("guest_rate_during", "written during", "MiB/s", "%.1f"),
    Column("guest_jump", "guest's jump", "ms"),
    Column("lateness", "prober late", "ms", "%.1f"),
    Column("guest_corrupt", "corrupt", "reads", worst=True),
)


def write(results: Results) -> Path:
    """Make the page (and the tables) from the raw rows; returns where it is. Raises NotFoundError for no rows."""
    about, rows = results.about(), results.rows()
    runs = [row for row in rows if row["key"] != "crowded"]
    if not runs:
        raise NotFoundError(
            f"No run of {results.folder} is over.", remedy="'skerry migration run --out' continues it."
        )
    results.tables()
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _number, "estimate": _estimate}
    template = environment.from_string(resources.files(__package__).joinpath(PAGE).read_text())
    text = template.render(
        about=about,
        count=len(runs),
        good=sum(counts(row) for row in runs),
        late=sum(not row.get("failure") and not row.get("trustworthy") for row in runs),
        failed=[row for row in runs if row.get("failure")],
        crowded=next((row for row in rows if row["key"] == "crowded"), None),
        plots=drawings(results, about, runs),
        table_3=thesis.table_3(runs),
        table_4=thesis.TABLE_4,
        whole=thesis.table_4(runs),
        why_3=thesis.WHY_3,
        why_4=thesis.WHY_4,
        columns=COLUMNS,
        cells=cells(runs),
    )
    path = results.folder / PAGE
    path.write_text(text)
    return path


def _number(value: float | None, form: str) -> str:
    return NOTHING if value is None else form % value


def _estimate(found: Estimate | None, unit: str) -> str:
    return NOTHING if found is None else f"{found.median:.0f} ({found.low:.0f} to {found.high:.0f}) {unit}"


def cells(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A line for each combination that was run."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault((row["flavor"], row["dirty"], row["rate"], row["mode"]), []).append(row)
    order = list(dict.fromkeys(row["flavor"] for row in rows))
    lines = []
    for (flavor, dirty, rate, mode), mine in sorted(
        found.items(),
        key=lambda item: (_size(rows, item[0][0], order), item[0][1:3], MODES.index(item[0][3])),
    ):
        line = {"flavor": flavor, "dirty": dirty, "rate": rate, "mode": mode}
        line |= {"count": sum(counts(row) for row in mine), "of": len(mine)}
        lines.append({**line, "figures": [_shown(mine, column) for column in COLUMNS]})
    return lines


def _size(rows: Sequence[Row], flavor: str, order: Sequence[str]) -> int:
    known = [its.flavor for its in thesis.TABLE_3]
    return known.index(flavor) if flavor in known else len(known) + order.index(flavor)


def _shown(rows: Sequence[Row], column: Column) -> str:
    found = values(rows, column.name)
    if not found:
        return NOTHING
    chosen = median(found)
    assert chosen is not None
    return column.form % (max(found) if column.worst else chosen.median)


def drawings(results: Results, about: Row, runs: Sequence[Row]) -> list[dict[str, Any]]:
    """The plots for which there are data: title, drawing, what it shows."""
    found = []

    def add(title: str, drawing: str, text: str) -> None:
        found.append(
            {"title": title, "drawing": Markup(drawing), "text": text}
        )  # our own drawing, texts escaped

    usable = thesis.plain(runs)
    flavors = [name for name in about["plan"]["flavors"] if any(row["flavor"] == name for row in usable)]
    if flavors:
        add(
            "Downtime by flavor",
            plots.downtime_by_flavor(usable, flavors),
            "Pre-copy without a limit. Filled: the longest time without a reply, at the floating address and (paler) at"
            " the private one; hollow: what QEMU reports of itself."
            " Bars are 95 % intervals of the median (bootstrap).",
        )
    traces = switches(results, runs)
    if traces:
        add(
            "Round trips around the switch",
            plots.round_trips(traces),
            "One run of each, the one nearest to the median of its kind; shaded while the migration lasted."
            " Red: probes to which no reply came.",
        )
    points = bandwidths(runs)
    if points:
        model = fit([point for point in points if point[0] > point[1]])
        text = "Limited runs of pre-copy. "
        if model:
            text += (
                "T is QEMU's part of the total time. Lines:"
                f" T = {model.fixed:.2f} s + {model.volume:.0f} MiB / (B - D), fitted to {model.count} runs"
                f" (R² = {model.explained:.2f}); B is the bandwidth, D what the guest was made to write; its"
                " kernel and the program that checks its memory write, too, page by page, and are not in D."
            )
        add("Time against bandwidth", plots.time_by_bandwidth(points, model), text)
    compared = modes(runs)
    if compared:
        mine, names, what = compared
        add("What helps a busy guest", plots.by_mode(mine, names), what)
    return found


def bandwidths(runs: Sequence[Row]) -> list[tuple[float, float, float]]:
    """(bandwidth, dirty rate, seconds of QEMU's part) of the runs with a limit that count."""
    limited = [row for row in runs if counts(row) and row["mode"] == "pre-copy" and row["rate"]]
    return [
        (row["rate"], float(row.get("guest_rate") or 0), row["qemu_total"] / 1000)
        for row in limited
        if "qemu_total" in row
    ]


def modes(runs: Sequence[Row]) -> tuple[list[Row], list[str], str] | None:
    """The combination of flavor, load and rate that was run in most modes, if in more than one."""
    kinds: dict[tuple[Any, ...], list[Row]] = {}
    for row in runs:
        kinds.setdefault((row["flavor"], row["dirty"], row["rate"]), []).append(row)
    key, mine = max(kinds.items(), key=lambda item: len({row["mode"] for row in item[1]}))
    names: list[str] = [mode for mode in MODES if any(row["mode"] == mode for row in mine)]
    if len(names) < 2:
        return None
    flavor, dirty, rate = key
    limit = f"at most {rate} MiB/s" if rate else "no limit"
    return mine, names, f"Flavor {flavor}, {dirty} MiB/s written in the guest, {limit} for the migration."


def switches(results: Results, runs: Sequence[Row], most: int = 4) -> list[tuple[str, Any]]:
    """Traces worth showing: for each mode and load, the run nearest to the median downtime of its kind."""
    kinds: dict[tuple[str, int], list[Row]] = {}
    for row in runs:
        if counts(row):
            kinds.setdefault((row["mode"], row["dirty"]), []).append(row)
    first = sorted(
        kinds, key=lambda kind: (kind[0] != "pre-copy" or kind[1] != 0, -kind[1], MODES.index(kind[0]))
    )
    found: list[tuple[str, Any]] = []
    for kind in first:
        middle = median(values(kinds[kind], "network_downtime"))
        if middle is None:
            continue
        row = min(kinds[kind], key=lambda one: abs(one["network_downtime"] - middle.median))
        trace = results.trace(row["key"])
        if trace and len(found) < most:
            limit = f", at most {row['rate']} MiB/s" if row["rate"] else ""
            found.append((f"{row['flavor']}, {row['mode']}, {row['dirty']} MiB/s written{limit}", trace))
    return found
