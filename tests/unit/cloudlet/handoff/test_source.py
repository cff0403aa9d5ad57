"""What the source of a handoff sends, and what it does not."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.cloudlet.handoff.source import against
from skerry.cloudlet.overlay.encoder import Changes
from skerry.cloudlet.overlay.pages import PAGE

PAGES, SENT = 64, 10


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 30))
def test_changes_against_an_overlay_make_the_same_disk(seed: int) -> None:
    random = np.random.default_rng(seed)

    def changed() -> Changes:
        numbers = np.sort(random.permutation(PAGES)[: random.integers(0, PAGES)]).astype(np.uint32)
        return Changes(numbers, random.integers(3, 6, (len(numbers), 1), np.uint8).repeat(PAGE, axis=1))

    base = random.integers(0, 3, (PAGES, 1), np.uint8).repeat(PAGE, axis=1)
    begin, now = changed(), changed()
    wanted, there = base.copy(), base.copy()
    wanted[now.numbers], there[begin.numbers] = now.content, begin.content
    differ = int((wanted != there).any(axis=1).sum())
    sent = against(now, begin, base)
    there[sent.numbers] = sent.content
    assert np.array_equal(there, wanted)
    assert len(sent.numbers) == differ  # nothing is sent that is there already
    assert bool((np.diff(sent.numbers.astype(int)) > 0).all())
