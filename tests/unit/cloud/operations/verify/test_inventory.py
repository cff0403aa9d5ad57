"""What counts as left behind."""

from __future__ import annotations

from skerry.cloud.operations.verify.inventory import new_in


def test_only_what_is_new_is_left_behind() -> None:
    before = {"port": {"1": "a", "2": "b"}, "domain": {}}
    after = {"port": {"2": "b"}, "domain": {"9": "instance-9"}}
    assert new_in(before, after) == ["domain instance-9 (9)"]
    assert new_in(before, before) == []
