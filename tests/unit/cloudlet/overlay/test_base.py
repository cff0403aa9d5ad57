"""A base is whole, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.random_machines import (
    DISK,
    MEMORY,
    base_of,
    image,
)

from skerry.cloudlet.errors import BadBaseError
from skerry.cloudlet.overlay.pages import PAGE
from skerry.cloudlet.overlay.store import Store


def test_a_damaged_base_is_found(store: Store) -> None:
    random = np.random.default_rng(6)
    base = base_of(store, image(random, MEMORY), image(random, DISK))
    base.verify()
    with base.path("memory").open("r+b") as file:
        file.seek(5 * PAGE)
        file.write(b"x")
    with pytest.raises(BadBaseError, match="memory"):
        base.verify()


def test_a_base_of_another_manifest_is_no_base(store: Store) -> None:
    random = np.random.default_rng(7)
    base = base_of(store, image(random, MEMORY), image(random, DISK))
    text = base.path("manifest.json").read_text().replace("Nehalem", "Haswell")
    base.path("manifest.json").write_text(text)
    with pytest.raises(BadBaseError):
        store.bases()
