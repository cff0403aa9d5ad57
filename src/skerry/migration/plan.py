"""What an evaluation runs, as data: flavors, and every combination of load, link rate and mode.

Hosts have to be configured for a mode and a rate (see ``MigrationSetting``), which takes far longer than a migration:
the runs of one setting stay together, settings and the runs of each are in random order. That is a split-plot design.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, PositiveInt, model_validator

from skerry.common import toml_model
from skerry.common.toml_model import Table

Mode = Literal["pre-copy", "auto-converge", "post-copy", "block"]
MODES: tuple[Mode, ...] = get_args(Mode)
PREFIX = "migration-"  # of flavors and servers in the cloud


class Flavor(Table):
    """A size of server."""

    memory: int = Field(ge=128, le=2**20, description="MiB")
    disk: int = Field(ge=1, le=2**12, description="GiB")
    vcpus: int = Field(1, ge=1, le=64)


class PlanPart(Table):
    """Every combination of these."""

    flavors: tuple[str, ...] = Field(min_length=1)
    dirty: tuple[int, ...] = Field((0,), min_length=1, description="MiB/s written in the guest")
    rates: tuple[int, ...] = Field((0,), min_length=1, description="MiB/s for migrations, 0: no limit")
    modes: tuple[Mode, ...] = Field(("pre-copy",), min_length=1)
    times: PositiveInt = 3

    @model_validator(mode="after")
    def _not_negative(self) -> PlanPart:
        if any(value < 0 or value > 4096 for value in (*self.dirty, *self.rates)):
            raise ValueError("dirty and rates are MiB/s from 0 to 4096")
        return self


class EvaluationPlan(Table):
    """Flavors by name, and the parts of the evaluation."""

    flavors: dict[str, Flavor] = Field(min_length=1)
    part: tuple[PlanPart, ...] = Field(min_length=1)
    limit: float = Field(60, gt=1, le=3600, description="seconds after which a migration is given up")
    crowded: bool = Field(True, description="also ask for a migration to hosts that are too small")

    @model_validator(mode="after")
    def _known(self) -> EvaluationPlan:
        for name in (name for part in self.part for name in part.flavors):
            if name not in self.flavors:
                known = ", ".join(self.flavors)
                raise ValueError(f"there is no flavor '{name}'; there are {known}")
        return self

    @property
    def used(self) -> list[str]:
        """The flavors that some part asks for, in the order in which they are described."""
        asked = {name for part in self.part for name in part.flavors}
        return [name for name in self.flavors if name in asked]


@dataclass(frozen=True)
class MigrationSetting:
    """What the hosts are configured for: how to migrate and with how much bandwidth (MiB/s, 0: no limit)."""

    mode: Mode
    rate: int

    @property
    def options(self) -> dict[str, object]:
        """The options of nova's section [libvirt] on every compute host.

        Nova itself neither aborts nor forces anything: the evaluation has a limit of its own, through nova's API.
        """
        return {
            "live_migration_permit_auto_converge": self.mode == "auto-converge",
            "live_migration_permit_post_copy": self.mode == "post-copy",
            "live_migration_bandwidth": self.rate,
            "live_migration_completion_timeout": 0,
            "live_migration_timeout_action": "abort",
        }

    def __str__(self) -> str:
        return f"{self.mode}, {f'{self.rate} MiB/s' if self.rate else 'no limit'}"


@dataclass(frozen=True)
class PlannedRun:
    """One migration that is to be made."""

    flavor: str
    dirty: int
    setting: MigrationSetting
    number: int

    @property
    def key(self) -> str:
        """What distinguishes it from all others, in file names too."""
        mode, rate = self.setting.mode, self.setting.rate
        return f"{self.flavor}-{self.dirty}-{mode}-{rate}-{self.number}"

    def row(self) -> dict[str, object]:
        return {"flavor": self.flavor, "dirty": self.dirty, **asdict(self.setting), "number": self.number}


def load(path: Path | None) -> EvaluationPlan:
    """The plan of a TOML file, or the built-in one. Raises ConfigError, which names the file and what is wrong."""
    if path is not None:
        return toml_model.load(path, EvaluationPlan)
    built_in = resources.files(__package__).joinpath("plan.toml").read_text()
    return toml_model.loads(built_in, EvaluationPlan, "the built-in plan")


def narrowed(
    plan: EvaluationPlan, wanted: dict[str, Any], times: int | None, *, source: str
) -> EvaluationPlan:
    """The plan with one part of what is ``wanted`` of Part's fields, in place of its own, and so many ``times`` each.

    Raises ConfigError, which names the ``source`` of what is wanted.
    """
    if not wanted:
        if times is None:
            return plan
        parts = tuple(part.model_copy(update={"times": times}) for part in plan.part)
        return plan.model_copy(update={"part": parts})
    if times is not None:
        wanted = {**wanted, "times": times}
    data = {**plan.model_dump(), "part": [{"flavors": list(plan.flavors), **wanted}]}
    return toml_model.check(data, EvaluationPlan, source)


def runs(plan: EvaluationPlan, seed: int) -> list[PlannedRun]:
    """All runs in random order, those of one setting together. The same seed gives the same order."""
    found: dict[MigrationSetting, set[PlannedRun]] = {}
    for part in plan.part:
        for flavor, dirty, rate, mode in itertools.product(part.flavors, part.dirty, part.rates, part.modes):
            setting = MigrationSetting(mode, rate)
            for number in range(1, part.times + 1):
                found.setdefault(setting, set()).add(PlannedRun(flavor, dirty, setting, number))
    dice = random.Random(seed)
    settings = sorted(found, key=str)
    dice.shuffle(settings)
    ordered = []
    for setting in settings:
        group = sorted(found[setting], key=lambda run: run.key)
        dice.shuffle(group)
        ordered += group
    return ordered
