"""The level of compression, by link and processors."""

from __future__ import annotations

from skerry.cloudlet.handoff.compression_level import Adapt


def test_the_level_follows_link_and_processors() -> None:
    levels = []
    for bandwidth in (1e5, 1e6, 1e7, 1e8, 1e9):
        levels.append(Adapt(2, bandwidth).level())
    assert levels == sorted(levels, reverse=True) and levels[0] == 19 and levels[-1] == 1
    slow = Adapt(2, 3e6)
    before = slow.level()
    for _ in range(10):
        slow.packed(before, 1 << 20, 300_000, 10.0)  # a hundred times slower than it was thought
    assert slow.level() < before
