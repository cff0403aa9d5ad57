"""What 'restore' has unpacked is loaded: state of the services before they start, records once the databases are there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step

SQL, NORTHBOUND, FILES, JOURNAL = "databases.sql", "northbound.db", "files", "journal.json"  # in a backup


class RestoredState(Step):
    """Keys and other files that services have as their state, with the owner that they need."""

    name = "restored-state"
    title = "files of the backup"
    needs = ("machine",)
    cost = 0.1

    def __init__(self, ctx: Context, places: dict[Path, str]) -> None:
        """``places`` are files and folders below the state, and who owns them."""
        self.ctx, self.places = ctx, places

    def _waiting(self) -> dict[Path, Path]:
        layout = self.ctx.layout
        found = {place: layout.restoring / FILES / place.relative_to(layout.root) for place in self.places}
        found[layout.northbound] = layout.restoring / NORTHBOUND
        return {place: source for place, source in found.items() if source.exists()}

    def check(self) -> list[Change]:
        return [Change(f"restore {place}") for place in self._waiting()]

    def apply(self, report: Callable[[str], None]) -> None:
        for place, source in self._waiting().items():
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                mode = place.stat().st_mode & 0o7777 if place.is_dir() else None
                shutil.copytree(source, place, dirs_exist_ok=True)
                if mode is not None:  # that of a folder that there is anyway is its component's business
                    place.chmod(mode)
            else:
                shutil.copy(source, place)
            owner = self.places.get(place, place.parent.owner())
            self.ctx.platform.run(["chown", "-R", f"{owner}:{owner}", str(place)])
            source.rename(source.with_name(f"{source.name}.restored"))


class RestoredRecords(Step):
    """The databases have the records of the backup, before their services bring them to the present release."""

    name = "restored-records"
    title = "records of the backup"
    needs = ("databases", "restored-state")
    cost = 0.1

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self._waiting = ctx.layout.restoring / SQL

    def check(self) -> list[Change]:
        return [Change("load the databases of the backup")] if self._waiting.exists() else []

    def apply(self, report: Callable[[str], None]) -> None:
        socket = f"--socket={self.ctx.layout.run}/mariadb/mysqld.sock"
        script = 'mariadb --no-defaults "$1" --user=root <"$2"'
        self.ctx.platform.run(["sh", "-c", script, "sh", socket, str(self._waiting)], timeout=900)
        self._waiting.rename(self._waiting.with_name(f"{SQL}.restored"))
