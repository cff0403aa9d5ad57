"""A round of pages, cut into batches."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.cloudlet.handoff.outbox import _cut
from skerry.cloudlet.overlay.index import LITERAL, ZERO, PageMap


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 30))
def test_a_round_is_cut_into_batches_without_loss(seed: int) -> None:
    random = np.random.default_rng(seed)
    total = int(random.integers(0, 3000))
    count = int(random.integers(0, 4000))
    kinds = random.choice([ZERO, LITERAL] if total else [ZERO], count).astype(np.uint8)
    refs = np.where(kinds == LITERAL, random.integers(0, max(total, 1), count), 0).astype(np.uint32)
    whole = PageMap(np.arange(count, dtype=np.uint32), kinds, refs)
    nothing = PageMap(np.empty(0, np.uint32), np.empty(0, np.uint8), np.empty(0, np.uint32))
    found: dict[int, tuple[int, int]] = {}
    at = 0
    for (first, end), memory, disk in _cut(whole, nothing, total, int(random.integers(1, 600))):
        assert first == at and len(disk) == 0 and bool((np.diff(memory.pages.astype(int)) > 0).all())
        at = end
        for page, kind, ref in zip(memory.pages, memory.kinds, memory.refs, strict=True):
            assert kind == ZERO or ref < end - first
            found[int(page)] = (int(kind), int(ref) + (first if kind == LITERAL else 0))
    assert at == total
    assert found == {n: (int(k), int(r)) for n, k, r in zip(range(count), kinds, refs, strict=True)}
