"""The plots of a report, as SVG texts that need nothing else."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skerry.migration.evaluation.estimate import Estimate, Fit, Row, median, values

matplotlib.use("svg")
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "skerry",  # the same data give the same file
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
}
COLORS = (
    "#1b6ca8",
    "#d9822b",
    "#3a8f4d",
    "#a33b6b",
    "#6b5ca5",
    "#777777",
)  # the colour-blind can distinguish them, too
MARKS = "osD^vP"


def svg(figure: Figure) -> str:
    """The drawing without what only a file of its own needs, and without addresses."""
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    return re.sub(r'(<svg[^>]*?) width="[^"]*"( [^>]*?)? ?height="[^"]*"', r"\1\2", drawing, count=1)


def _figure(width: float, height: float, panels: int = 1) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(panels, 1, squeeze=False)[:, 0])


def _point(
    axes: Axes, x: float, found: Estimate, color: str, mark: str, label: str | None, **more: Any
) -> None:
    below, above = found.median - found.low, found.high - found.median
    axes.errorbar(
        [x],
        [found.median],
        yerr=[[below], [above]],
        color=color,
        marker=mark,
        capsize=3,
        linestyle="",
        label=label,
        **more,
    )


def downtime_by_flavor(rows: Sequence[Row], flavors: Sequence[str]) -> str:
    """Medians of network downtime with 95 % intervals, for each load; QEMU's own downtime is hollow."""
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = _figure(8, 3.6)
        loads = sorted({row["dirty"] for row in rows})
        for number, load in enumerate(loads):
            color, mark = COLORS[number % len(COLORS)], MARKS[number % len(MARKS)]
            first = True
            for place, flavor in enumerate(flavors):
                chosen = [row for row in rows if row["flavor"] == flavor and row["dirty"] == load]
                x = place + (number - (len(loads) - 1) / 2) * 0.2
                seen, told = (
                    median(values(chosen, "network_downtime")),
                    median(values(chosen, "qemu_downtime")),
                )
                if seen:
                    _point(axes, x, seen, color, mark, f"network, {load} MiB/s written" if first else None)
                beside = median(values(chosen, "private_network_downtime"))
                if beside:
                    label = f"private address, {load} MiB/s written" if first else None
                    _point(axes, x + 0.03, beside, color, mark, label, alpha=0.4)
                if told:
                    label = f"QEMU, {load} MiB/s written" if first else None
                    _point(axes, x + 0.06, told, color, mark, label, markerfacecolor="white", alpha=0.75)
                first = first and not seen
        axes.set_yscale("log")
        axes.set_xticks(range(len(flavors)), flavors)
        axes.set_xlim(-0.5, len(flavors) - 0.5)
        axes.set_ylabel("downtime, ms")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        return svg(figure)


def round_trips(traces: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Round trips over time around the switch, one panel for each (title, trace)."""
    with matplotlib.rc_context(STYLE):
        figure, panels = _figure(9, 2.3 * len(traces), len(traces))
        for axes, (title, trace) in zip(panels, traces, strict=True):
            _one_trip(axes, title, trace)
        panels[-1].set_xlabel("seconds since the request for the migration")
        return svg(figure)


def _one_trip(axes: Axes, title: str, trace: dict[str, Any]) -> None:
    answered = [(sent, (back - sent) * 1000) for sent, back in trace["icmp"] if back is not None]
    lost = [sent for sent, back in trace["icmp"] if back is None]
    axes.axvspan(0, trace["seconds"], color="#1b6ca8", alpha=0.07, linewidth=0)
    if answered:
        axes.plot(*zip(*answered, strict=True), ".", markersize=2, color=COLORS[0], label="round trip")
    if lost:
        top = max((rtt for _, rtt in answered), default=1)
        axes.plot(lost, [top * 2] * len(lost), "|", markersize=7, color="#c0392b", label="no reply")
    rounds = {int(one["iterations"]): one["at"] for one in reversed(trace["qemu"]) if one.get("iterations")}
    for number, at in sorted(rounds.items())[:30]:
        axes.axvline(
            at, color="#777777", linewidth=0.6, linestyle=":", label="QEMU's rounds" if number == 1 else None
        )
    axes.set_yscale("log")
    axes.set_ylabel("ms")
    axes.set_title(title, loc="left", fontsize=9)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, markerscale=2)


def time_by_bandwidth(points: Sequence[tuple[float, float, float]], model: Fit | None) -> str:
    """QEMU's part of the total time against bandwidth, one series for each load, with the fitted model as a line."""
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = _figure(8, 3.4)
        loads = sorted({round(dirty) for _, dirty, _ in points})
        widest = max(bandwidth for bandwidth, _, _ in points) * 1.1
        for number, load in enumerate(loads):
            color = COLORS[number % len(COLORS)]
            mine = [(bandwidth, seconds) for bandwidth, dirty, seconds in points if round(dirty) == load]
            label = f"{load} MiB/s written"
            axes.plot(
                *zip(*mine, strict=True), MARKS[number % len(MARKS)], color=color, label=label, alpha=0.8
            )
            if model is not None:
                steps = [load + 1 + (widest - load - 1) * step / 200 for step in range(201)]
                shown = [x for x in steps if x >= min(bandwidth for bandwidth, _ in mine) * 0.8]
                axes.plot(shown, [model.seconds(x, load) for x in shown], color=color, linewidth=1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("bandwidth for migrations, MiB/s")
        axes.set_ylabel("QEMU's part of the time, s")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        return svg(figure)


def by_mode(rows: Sequence[Row], modes: Sequence[str]) -> str:
    """Total time and network downtime of each mode, medians with 95 % intervals."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 2.6), layout="constrained")
        for axes, (name, title) in zip(
            figure.subplots(1, 2),
            (("seconds", "total time, s"), ("network_downtime", "network downtime, ms")),
            strict=True,
        ):
            for place, mode in enumerate(modes):
                found = median(values([row for row in rows if row["mode"] == mode], name))
                if found:
                    _point(axes, place, found, COLORS[place % len(COLORS)], MARKS[place % len(MARKS)], None)
                else:
                    axes.annotate(
                        "none\narrived",
                        (place, 0.5),
                        xycoords=("data", "axes fraction"),
                        ha="center",
                        color="#777777",
                    )
            axes.set_xticks(range(len(modes)), modes, rotation=15)
            axes.set_xlim(-0.5, len(modes) - 0.5)
            axes.margins(y=0.2)
            axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 1))
            axes.set_ylabel(title)
        return svg(figure)
