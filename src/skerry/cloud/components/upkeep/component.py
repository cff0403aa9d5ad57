"""The service that starts the upkeep once a day: a shell that sleeps."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components.base.component import Component
from skerry.cloud.model.users import ROOT
from skerry.cloud.supervise.probes import WorkersProbe
from skerry.cloud.supervise.service import OOM_UPKEEP, File, Service


class DailyUpkeep(Component):
    name = "upkeep"
    title = "the daily upkeep"
    user = ROOT  # as everybody who runs a verb that changes something
    roles = ("control", "network", "compute")

    def services(self) -> list[Service]:
        layout = self.ctx.layout
        script = File(
            layout.etc / "upkeep/daily.sh", Path(__file__).with_name("daily.sh").read_text(), executable=True
        )
        due = str(layout.upkeep_due) if self.ctx.cloud.upkeep.daily else "never"
        verb = (layout.bin("python"), "-m", "skerry.cli.main", "--root", str(layout.root))
        return [
            Service(
                "upkeep",
                (str(script.path), due, str(layout.log), *verb),
                WorkersProbe(1),
                title=self.title,
                user=self.user,
                env={
                    "SKERRY_CHECKOUT": str(layout.tree),
                    "SKERRY_ENV": str(layout.env),
                    "PYTHONPATH": str(layout.tree / "src"),
                    "PYTHONSAFEPATH": "1",
                    "HOME": str(Path("~root").expanduser()),  # ssh's keys, for other hosts
                },
                files=(script,),
                after=("own-tree",),
                oom_score=OOM_UPKEEP,
                cost=0.1,
            )
        ]
