"""The evaluation: all runs of a plan on one cloud, each written down as soon as it is over."""

from __future__ import annotations

import platform
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from skerry.common.errors import PreflightError, SkerryError
from skerry.migration.capacity import crowded, demand_room
from skerry.migration.evaluation.fleet import Fleet
from skerry.migration.evaluation.results import Results, Row
from skerry.migration.measurement import capture
from skerry.migration.measurement.guest import Load, Reading, rate_between
from skerry.migration.measurement.observation import Measurement, Round, observe
from skerry.migration.measurement.vantage import Vantage
from skerry.migration.nova import Server, hosts_up
from skerry.migration.plan import EvaluationPlan, MigrationSetting, PlannedRun, runs
from skerry.migration.site import Site

A_RUN, A_SETTING = (
    22.0,
    40.0,
)  # seconds that they take at first sight; the run's own times are taken as they come

ARRIVED = "it was there before post-copy could begin; with a lower rate or more to write it would need it"

Say = Callable[[str], None]


def new_folder() -> Path:
    """A folder for an evaluation that begins now, in the working directory."""
    return Path(f"migration-{time.strftime('%Y%m%d-%H%M')}")


class Experiment:
    """``plan`` on the cloud of ``api`` and ``site``, written to ``results``; ``seed`` None draws one.

    ``hosts`` are the two or more between which servers move, None for all that are up.

    Raises NotFoundError, PreflightError before anything is changed.
    """

    def __init__(
        self,
        api: Any,
        site: Site,
        plan: EvaluationPlan,
        results: Results,
        report: Say,
        *,
        seed: int | None = None,
        hosts: Sequence[str] | None = None,
        captures: bool = True,
        interval: float = 0.01,
    ) -> None:
        self._api, self._site, self._plan, self._results, self._report = api, site, plan, results, report
        self._hosts = hosts_up(api, hosts)
        self._demand(captures)
        about = {
            "plan": plan.model_dump(mode="json"),
            "seed": random.SystemRandom().randrange(10**6) if seed is None else seed,
            "hosts": self._hosts,
            "interval": interval,
            "kernel": platform.release(),
            "versions": self._versions(),
        }
        self.seed = int(results.begin(about)["seed"])
        self._look = Measurement(site, interval, results.traces, captures)
        self._took: list[float] = []

    def _demand(self, captures: bool) -> None:
        if captures:
            capture.demand(self._site)
        if any("post-copy" in part.modes for part in self._plan.part):
            for host in self._hosts:
                if not self._site.may_fault(host):
                    raise PreflightError(
                        f"Post-copy cannot work on {host}: QEMU may not handle page faults there (userfaultfd).",
                        remedy="Leave the mode out (--modes), or allow it: docs/how-to/migration.md.",
                    )

    def _versions(self) -> str:
        told = self._site.run(self._hosts[0], [*self._site.virsh, "version"], check=False).stdout
        wanted = [
            line for line in told.splitlines() if line.startswith(("Using library", "Running hypervisor"))
        ]
        return ", ".join(line.split(":", 1)[1].strip() for line in wanted)

    def left(self) -> list[PlannedRun]:
        """The runs that have no row yet, in their order."""
        done = {row["key"] for row in self._results.rows()}
        return [run for run in runs(self._plan, self.seed) if run.key not in done]

    def run(self) -> None:
        """Make all runs that are left; hosts and cloud are in the end as they were."""
        left = self.left()
        self._report(f"seed {self.seed}: {len(left)} runs, {self._time_left(left)}")
        with (
            Fleet(self._api, self._site, self._plan.flavors, self._report) as fleet,
            Vantage(self._api, self._site, fleet.network) as namespace,
            self._settings() as tell,
        ):
            self._look = replace(self._look, namespace=namespace)
            for number, run in enumerate(left):
                tell(run.setting)
                started = time.monotonic()
                row = self._row(fleet, run)
                self._took.append(time.monotonic() - started)
                told = row.pop("told")
                self._results.add(row)
                rest = self._time_left(left[number + 1 :])
                self._report(f"{number + 1} of {len(left)}, {run.key}: {told}; {rest}")
            if self._plan.crowded and "crowded" not in {row["key"] for row in self._results.rows()}:
                self._results.add(self._crowded(fleet))

    def _time_left(self, left: Sequence[PlannedRun]) -> str:
        if not left:
            return "none left"
        each = sum(self._took) / len(self._took) if self._took else A_RUN
        seconds = each * len(left) + A_SETTING * len({run.setting for run in left})
        return f"about {max(1, round(seconds / 60))} min left"

    @contextmanager
    def _settings(self) -> Iterator[Callable[[MigrationSetting], None]]:
        """Configures the hosts when the setting is another than before, and in the end as they were."""
        now: MigrationSetting | None = None

        def tell(setting: MigrationSetting) -> None:
            nonlocal now
            if setting != now:
                self._report(f"sets the hosts to {setting}")
                now = setting
                self._site.configure(setting.options, self._report)

        try:
            yield tell
        finally:
            if now is not None:
                self._site.configure(None, self._report)

    def _row(self, fleet: Fleet, run: PlannedRun) -> Row:
        row: Row = {"key": run.key, **run.row()}
        try:
            done, guest = self._measured(fleet, run)
        except Exception as error:  # an API's own, too: one run that fails must not end the others
            said = " ".join(str(error).split()) or type(error).__name__
            return {**row, "failure": said, "told": f"failed: {said}"}
        row |= {**done.row(), **guest, "told": done.told()}
        if run.setting.mode == "post-copy" and not (row["failure"] or row["post_copy"]):
            row["failure"] = ARRIVED
            row["told"] += f"; not counted: {ARRIVED}"
        return row

    def _measured(self, fleet: Fleet, run: PlannedRun) -> tuple[Round, Row]:
        server = fleet.get(run.flavor)
        memory, source = self._plan.flavors[run.flavor].memory, server.host
        demand_room(self._api, server.name, memory, source, self._hosts)
        goal = next(host for host in self._hosts if host != source)
        disk = run.setting.mode == "block"
        with Load(fleet.shell(server), memory, run.dirty, disk=disk) as load:
            before, asked = load.read()
            done = observe(self._look, server, run.key, goal, mode=run.setting.mode, limit=self._plan.limit)
            after, told = load.read()
            return done, seen_inside(load.rate, before, after, told - asked)

    def _crowded(self, fleet: Fleet) -> Row:
        """The thesis' 'Large' case: the other hosts are too small. It must be refused, and the server run on."""
        flavor = max(self._plan.used, key=lambda name: self._plan.flavors[name].memory)
        row: Row = {"key": "crowded", "flavor": flavor, "dirty": 0, "mode": "refused", "rate": 0, "number": 1}
        try:
            server = fleet.get(flavor)
            row |= refused(self._api, server, self._plan.flavors[flavor].memory, self._hosts)
            with suppress(SkerryError):
                fleet.shell(server)("true")
                row["answers"] = True
        except SkerryError as error:
            row["failure"] = str(error)
        self._report(f"a host that is too small, flavor {flavor}: {row['failure']}")
        return row


def refused(api: Any, server: Server, memory: int, hosts: Sequence[str]) -> Row:
    """Ask nova to move ``server`` while no other host has ``memory`` MiB, past our own look at the room there.

    The row has the reason with which it failed, whether the server stayed, and whether it had been touched at all.
    """
    source = server.host
    with crowded(api, [host for host in hosts if host != source], memory // 2):
        try:
            demand_room(api, server.name, memory, source, hosts)
            ours = ""
        except PreflightError as error:
            ours = str(error)
        outcome = server.move(next(host for host in hosts if host != source), limit=60)
    now = server.now()
    return {
        "source": source,
        "destination": outcome.destination,
        "seconds": round(outcome.seconds, 3),
        "failure": outcome.failure or "",
        "refused_by_us": ours,
        "stayed": str(now.compute_host) == source and now.status == "ACTIVE" and outcome.failure is not None,
    }


def seen_inside(rate: float, before: Reading, after: Reading, seconds: float) -> Row:
    """What the guest saw between two readings that were ``seconds`` apart; ``rate`` (MiB/s) is from before.

    ``guest_jump`` is the longest time between two ticks by its own clock (milliseconds; /proc/uptime has steps of 10).
    """
    return {
        "guest_rate": round(rate, 2),
        "guest_rate_during": round(rate_between(before, after, seconds), 2),
        "guest_jump": round(after.jump * 1000),
        "guest_checks": after.rounds - before.rounds,
        "guest_corrupt": after.bad,
    }
