"""How long a service that ends again and again is left alone."""

from __future__ import annotations

from skerry.cloud.supervise.daemon import pause_after


def test_pauses_grow_to_a_minute() -> None:
    assert [pause_after(failures) for failures in range(9)] == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_after(100_000) == 60
