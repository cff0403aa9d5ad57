"""Batches of pages: they come out as they went in, and damaged ones are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.cloudlet.handoff import batches
from skerry.cloudlet.handoff.batches import Batch
from skerry.cloudlet.overlay.index import Limits, PageMap
from skerry.cloudlet.overlay.pages import PAGE

PAGES, SENT = 64, 10
LIMITS = Limits(PAGES, PAGES, PAGES, PAGES, (SENT,))


def page_map(random: np.random.Generator, literals: int) -> PageMap:
    count = int(random.integers(0, PAGES))
    pages = np.sort(random.permutation(PAGES)[:count]).astype(np.uint32)
    tops = [1, PAGES, PAGES, literals, SENT]
    kinds = random.choice([kind for kind, top in enumerate(tops) if top], count).astype(np.uint8)
    refs = random.integers(0, np.array(tops)[kinds], count).astype(np.uint32) if count else pages
    return PageMap(pages, kinds, refs)


def batch(seed: int) -> Batch:
    random = np.random.default_rng(seed)
    literals = random.integers(0, 256, (int(random.integers(0, 9)), PAGE), np.uint8)
    return Batch(page_map(random, len(literals)), page_map(random, len(literals)), literals)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from([1, 9, 19]))
def test_batches_come_out_as_they_went_in(seed: int, level: int) -> None:
    made = batch(seed)
    read = batches.unpack(batches.pack(made, level), LIMITS)
    assert np.array_equal(read.literals, made.literals)
    for one, other in ((read.memory, made.memory), (read.disk, made.disk)):
        assert all(
            np.array_equal(getattr(one, name), getattr(other, name)) for name in ("pages", "kinds", "refs")
        )


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 30), st.data())
def test_damaged_batches_are_refused_or_within_bounds(seed: int, data: st.DataObject) -> None:
    body = bytearray(batches.pack(batch(seed), 1))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del body[data.draw(st.integers(0, len(body))) :]
    try:
        read = batches.unpack(bytes(body), LIMITS)
    except ValueError:
        return
    tops = np.array([1, PAGES, PAGES, len(read.literals), SENT])
    for where in (read.memory, read.disk):
        assert not len(where) or (
            int(where.pages.max()) < PAGES and bool((where.refs < tops[where.kinds]).all())
        )


@pytest.mark.parametrize("size", [(1 << 32) - 1, 1 << 24, 5000])
def test_a_batch_that_claims_to_be_large_is_refused_before_it_is_unpacked(size: int) -> None:
    body = batches._HEAD.pack(4, size, 0) + b"\0\0\0\0"
    with pytest.raises(ValueError, match="more pages"):
        batches.unpack(body, LIMITS)
