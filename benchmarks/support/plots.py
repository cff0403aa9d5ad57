"""Bars of overlay size and first reply by method, as one HTML page without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

Row = dict[str, object]
WIDTH, HEIGHT, LABEL = 460, 22, 360


def plot(rows: Sequence[Row]) -> str:
    """The page. ``rows`` are the benchmark's figures."""
    charts = []
    for workload in ("numpy", "mariadb"):
        sizes: list[tuple[str, Any]] = []
        for row in rows:
            if row["name"] in (f"{workload}: overlay size", f"{workload}: overlay size against the image"):
                if not sizes:
                    sizes.append(("VM overlay", row["value"]))
                sizes.append((str(row["peer"]), row["peer_value"]))
        charts.append(chart(f"{workload}: MB to be sent", sizes))
        replies = [
            (str(row["name"]).partition(": ")[2], row["value"])
            for row in rows
            if str(row["name"]).startswith(f"{workload}: ")
            and ("first reply" in str(row["name"]) or "full synthesis" in str(row["name"]))
        ]
        charts.append(
            chart(f"{workload}: seconds to the first reply (38 Mbit/s unless stated otherwise)", replies)
        )
    return (
        "<!doctype html><meta charset=utf-8><title>Cloudlets</title>"
        "<style>body{font:14px sans-serif;max-width:60em;margin:2em auto}</style>" + "".join(charts)
    )


def chart(title: str, bars: Sequence[tuple[str, object]]) -> str:
    """One chart of horizontal bars, as SVG."""
    values = [float(str(value)) for _, value in bars]
    most = max(values, default=1.0) or 1.0
    parts = []
    for number, ((name, _), value) in enumerate(zip(bars, values, strict=True)):
        y, width = number * (HEIGHT + 6), max(1.0, value / most * WIDTH)
        color = "#999" if "peer" in name or "LZMA" in name or "image" in name else "#2a6"
        parts.append(f'<text x="{LABEL - 8}" y="{y + 16}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{HEIGHT}" fill="{color}"/>')
        parts.append(f'<text x="{LABEL + width + 6:.1f}" y="{y + 16}">{value:g}</text>')
    size = f'width="{LABEL + WIDTH + 80}" height="{len(bars) * (HEIGHT + 6)}"'
    return f'<h2>{escape(title)}</h2><svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'
