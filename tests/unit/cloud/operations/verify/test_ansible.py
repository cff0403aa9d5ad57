"""What a run of a play prints at its end."""

from __future__ import annotations

import pytest

from skerry.cloud.operations.verify.ansible import fault

RECAP = "localhost            : ok=9    changed={}    unreachable=0    failed={}    skipped=0    ignored=0"


@pytest.mark.parametrize(
    ("changed", "changes", "wrong"),
    [(8, True, None), (0, False, None), (0, True, "0 of 9 tasks"), (2, False, "2 of 9 tasks")],
)
def test_the_second_run_changes_nothing(changed: int, changes: bool, wrong: str | None) -> None:
    found = fault(["PLAY RECAP ****", RECAP.format(changed, 0)], changes=changes)
    assert found == wrong or (wrong and found and found.startswith(wrong))


def test_a_task_that_fails_is_named() -> None:
    lines = ["TASK [The network]", "fatal: [localhost]: FAILED! => no such cloud", RECAP.format(0, 1)]
    assert fault(lines, changes=True) == "fatal: [localhost]: FAILED! => no such cloud"
    assert fault([], changes=True) == "it did not come to its end"
