"""Plans of an evaluation, and the order in which they are run."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from skerry.common.errors import ConfigError
from skerry.migration.plan import EvaluationPlan, MigrationSetting, load, runs

SMALL = """
[flavors]
nano = {memory = 128, disk = 1}
tiny = {memory = 256, disk = 1}
[[part]]
flavors = ["nano", "tiny"]
dirty = [0, 10]
rates = [0, 32]
modes = ["pre-copy", "post-copy"]
times = 2
[[part]]
flavors = ["tiny"]
rates = [32]
times = 3
"""


@pytest.fixture
def plan(tmp_path: Path) -> EvaluationPlan:
    path = tmp_path / "plan.toml"
    path.write_text(SMALL)
    return load(path)


def test_the_built_in_plan_has_the_thesis_flavors_and_all_that_is_asked_for() -> None:
    plan = load(None)
    assert list(plan.flavors) == ["nano", "micro", "tiny", "small", "medium", "large"]
    assert {load for part in plan.part for load in part.dirty} == {0, 10, 50}
    assert {mode for part in plan.part for mode in part.modes} == {
        "pre-copy",
        "auto-converge",
        "post-copy",
        "block",
    }


def test_every_combination_is_run_once_though_two_parts_have_it(plan: EvaluationPlan) -> None:
    # 2 flavors, 2 loads, 2 rates, 2 modes, twice; the second part adds only a third run of one combination.
    found = runs(plan, 1)
    assert len(found) == 2**4 * 2 + 1
    assert len({run.key for run in found}) == len(found)


def test_hosts_are_told_each_setting_once(plan: EvaluationPlan) -> None:
    settings = [run.setting for run in runs(plan, 5)]
    changes = sum(one != other for one, other in itertools.pairwise(settings))
    assert changes == len(set(settings)) - 1


def test_the_seed_makes_the_order(plan: EvaluationPlan) -> None:
    assert runs(plan, 1) == runs(plan, 1)
    assert runs(plan, 1) != runs(plan, 2)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('flavors = ["tiny"]', 'flavors = ["giant"]', "there is no flavor 'giant'; there are nano, tiny"),
        ('"post-copy"', '"fast"', "part[1].modes[2]"),
        ("times = 2", "times = 0", "part[1].times"),
        ("dirty = [0, 10]", "dirty = [-1]", "MiB/s from 0 to 4096"),
        ("memory = 128", "memory = 1", "flavors.nano.memory"),
        ("[[part]]", "[[parts]]", "part"),
        ("[flavors]", "[flavors", ""),
    ],
)
def test_a_wrong_plan_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = tmp_path / "plan.toml"
    assert old in SMALL
    path.write_text(SMALL.replace(old, new))
    with pytest.raises(ConfigError) as wrong:
        load(path)
    assert str(path) in str(wrong.value) and told in str(wrong.value)


def test_a_plan_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml")


def test_a_mode_is_what_nova_calls_it() -> None:
    assert MigrationSetting("post-copy", 8).options["live_migration_permit_post_copy"] is True
    assert MigrationSetting("auto-converge", 8).options["live_migration_permit_auto_converge"] is True
    plain = MigrationSetting("pre-copy", 8).options
    assert not plain["live_migration_permit_post_copy"] and not plain["live_migration_permit_auto_converge"]
    assert plain["live_migration_bandwidth"] == 8
