"""The raw rows of an evaluation: written one by one as they come, so that nothing is lost when it is broken off."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from skerry.common.errors import NotFoundError, PreflightError

ROWS, ABOUT, TABLE, ALL = "runs.jsonl", "about.json", "runs.csv", "runs.json"
TRACES = "traces"

Row = dict[str, Any]


class Results:
    """A folder with ``about.json`` (plan, seed, hosts), ``runs.jsonl`` and ``traces/``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def traces(self) -> Path:
        return self.folder / TRACES

    def begin(self, about: Row) -> Row:
        """Start it, or continue one of the same plan: returns what it was started with.

        Raises PreflightError for a folder of another plan, or one that cannot be written.
        """
        try:
            self.traces.mkdir(parents=True, exist_ok=True)
            path = self.folder / ABOUT
            if path.exists():
                before: Row = json.loads(path.read_text())
                if before.get("plan") != about["plan"]:
                    raise PreflightError(
                        f"{self.folder} has an evaluation of another plan.",
                        remedy="Name another folder with --out.",
                    )
                return before
            path.write_text(json.dumps(about, indent=1) + "\n")
        except (OSError, ValueError) as error:
            raise PreflightError(
                f"{self.folder} cannot be used: {error}", remedy="Name another with --out."
            ) from None
        return about

    def add(self, row: Row) -> None:
        with (self.folder / ROWS).open("a") as file:
            file.write(json.dumps(row) + "\n")

    def about(self) -> Row:
        """Raises NotFoundError where there is no evaluation."""
        try:
            found: Row = json.loads((self.folder / ABOUT).read_text())
        except (OSError, ValueError):
            raise NotFoundError(
                f"There is no evaluation in {self.folder}.",
                remedy="'skerry migration run --out FOLDER' makes one.",
            ) from None
        return found

    def rows(self) -> list[Row]:
        """All rows; a last one that was cut off by a kill is left out."""
        found = []
        path = self.folder / ROWS
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def trace(self, key: str) -> Row | None:
        """What ``observe`` kept of a run."""
        try:
            found: Row = json.loads((self.traces / f"{key}.json").read_text())
        except (OSError, ValueError):
            return None
        return found

    def tables(self) -> None:
        """Write all rows as CSV and as JSON."""
        rows = self.rows()
        write_csv(self.folder / TABLE, rows)
        (self.folder / ALL).write_text(json.dumps(rows, indent=1) + "\n")


def write_csv(path: Path, rows: list[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
