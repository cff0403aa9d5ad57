"""What an overlay carries: what is new, each content once, what was touched first."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.random_machines import (
    DISK,
    MEMORY,
    base_of,
    changed,
    changes,
    image,
    kept,
    overlay_of,
    rebuilt,
)

from skerry.cloudlet.overlay.encoder import Changes, Sources, plan
from skerry.cloudlet.overlay.pages import PAGE
from skerry.cloudlet.overlay.rebuild import Rebuild
from skerry.cloudlet.overlay.store import Store
from skerry.common.errors import NotFoundError


def test_an_overlay_upon_an_overlay_carries_only_what_is_new(store: Store) -> None:
    random = np.random.default_rng(2)
    memory, disk = image(random, MEMORY), image(random, DISK)
    base = base_of(store, memory, disk)
    first_memory, first_disk = changed(random, memory, disk), changed(random, disk, memory)
    first = kept(store, overlay_of(store, base, first_memory, first_disk))
    second_memory = first_memory.copy()
    second_memory[7] = random.integers(0, 256, PAGE, np.uint8)
    made = overlay_of(store, base, second_memory, first_disk, first)
    second = kept(store, made)
    assert Rebuild(second, store).index.segments.literals <= 1
    got_memory, got_disk = rebuilt(store, second)
    assert np.array_equal(got_memory, second_memory) and np.array_equal(got_disk, first_disk)
    store.remove(store.overlay_path(first.manifest.id))
    with pytest.raises(NotFoundError):
        Rebuild(second, store)


def test_what_was_touched_comes_first(store: Store) -> None:
    random = np.random.default_rng(3)
    zero = np.zeros((MEMORY, PAGE), np.uint8)
    base = base_of(store, zero, np.zeros((DISK, PAGE), np.uint8))
    memory = random.integers(0, 256, (MEMORY, PAGE), np.uint8)
    touched = np.array([200, 3, 77], np.uint32)
    sources = Sources(base.finder("disk"), base.finder("memory"))
    empty = Changes(np.empty(0, np.uint32), np.empty((0, PAGE), np.uint8))
    chosen = plan(changes(zero, memory), empty, sources, warm_memory=touched)
    assert chosen.areas.warm == 3
    assert np.array_equal(chosen.literals[:3], memory[touched])


def test_each_content_is_carried_once(store: Store) -> None:
    zero = np.zeros((MEMORY, PAGE), np.uint8)
    base = base_of(store, zero, np.zeros((DISK, PAGE), np.uint8))
    memory, disk = np.full((MEMORY, PAGE), 7, np.uint8), np.full((DISK, PAGE), 7, np.uint8)
    assert Rebuild(kept(store, overlay_of(store, base, memory, disk)), store).index.segments.literals == 1
