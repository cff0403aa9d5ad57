"""Whatever is done to an overlay's bytes: it is read exactly, or refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.random_machines import (
    DISK,
    MACHINE,
    MEMORY,
    STATE,
    base_of,
    changed,
    image,
    overlay_of,
    rebuilt,
)

from skerry.cloudlet.errors import BadOverlayError, UntrustedError
from skerry.cloudlet.overlay import manifest as manifests
from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.encoder import Made
from skerry.cloudlet.overlay.reader import FileSource, Overlay
from skerry.cloudlet.overlay.rebuild import Rebuild
from skerry.cloudlet.overlay.segments import (
    compress,
)
from skerry.cloudlet.overlay.store import Store
from skerry.common.errors import NotFoundError


@pytest.fixture
def sample(store: Store) -> tuple[Store, Base, Made]:
    random = np.random.default_rng(4)
    memory, disk = image(random, MEMORY), image(random, DISK)
    base = base_of(store, memory, disk)
    return store, base, overlay_of(store, base, changed(random, memory, disk), changed(random, disk, memory))


def read_all(path: Path, store: Store) -> None:
    for _ in Rebuild(Overlay(FileSource(path), store.keys), store).pieces():
        pass


def test_no_flipped_bit_goes_unseen(sample: tuple[Store, Base, Made], tmp_path: Path) -> None:
    store, _, made = sample
    data = bytearray(b"".join(made.parts))
    path = tmp_path / "overlay"
    random = np.random.default_rng(5)
    # All of the head, and some of the rest.
    for at in [*range(0, len(made.parts[0]), 7), *random.integers(0, len(data), 150)]:
        data[at] ^= 1 << random.integers(0, 8)
        path.write_bytes(data)
        with pytest.raises((BadOverlayError, UntrustedError)):
            read_all(path, store)
            Overlay(FileSource(path), store.keys).state(STATE)
        path.write_bytes(b"".join(made.parts))
        data = bytearray(path.read_bytes())


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.99, 1.01])
def test_a_length_other_than_the_manifests_is_refused(
    sample: tuple[Store, Base, Made], tmp_path: Path, share: float
) -> None:
    store, _, made = sample
    data = b"".join(made.parts)
    path = tmp_path / "overlay"
    path.write_bytes((data + bytes(len(data)))[: int(len(data) * share)])
    with pytest.raises(BadOverlayError):
        read_all(path, store)


def resigned(made: Made, store: Store, change: dict[str, object]) -> bytes:
    """The overlay with other words in its manifest, signed by someone who is trusted."""
    data = {**json.loads(made.manifest.pack()), **change}
    packed = json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
    head = manifests.HEAD.pack(manifests.MAGIC, len(packed)) + packed
    return head + store.keys.sign(manifests.message(packed)) + b"".join(made.parts[1:])


@pytest.mark.parametrize(
    "change",
    [
        {"format": 4},
        {"format": 0},
        {"name": "../../etc/passwd"},
        {"base": "0" * 64},
        {"disk_pages": DISK + 1},
        {"disk_pages": -1},
        {"disk_pages": 1.5},
        {"segments": 1 << 60},
        {"machine": {**MACHINE.to_json(), "cpu": "host"}},
        {"machine": {**MACHINE.to_json(), "type": "pc-q35-7.2,accel=kvm"}},
        {"machine": {**MACHINE.to_json(), "memory_mib": 2}},
        {"index": {"size": 1, "raw": 1 << 40, "sha256": "0" * 64}},
        {"parents": ["0" * 64]},
        {"parents": ["x"] * 3},
        {"more": 1},
    ],
    ids=str,
)
def test_even_a_trusted_manifest_is_checked(
    sample: tuple[Store, Base, Made], tmp_path: Path, change: dict[str, object]
) -> None:
    store, _, made = sample
    path = tmp_path / "overlay"
    path.write_bytes(resigned(made, store, change))
    with pytest.raises((BadOverlayError, NotFoundError)):
        read_all(path, store)


def test_a_stranger_is_not_trusted_until_told(sample: tuple[Store, Base, Made], tmp_path: Path) -> None:
    store, _, made = sample
    other = Store(tmp_path / "other")
    path = store.root / "an-overlay"
    path.write_bytes(b"".join(made.parts))
    with pytest.raises(UntrustedError):
        Overlay(FileSource(path), other.keys)
    other.keys.trust(store.keys.public().hex())
    assert Overlay(FileSource(path), other.keys).manifest == made.manifest


@pytest.mark.parametrize("number", [1, 2])
def test_an_overlay_of_an_older_format_is_read(store: Store, number: int) -> None:
    random = np.random.default_rng(8)
    memory, disk = image(random, MEMORY), image(random, DISK)
    base = base_of(store, memory, disk)
    new = changed(random, memory, disk)
    made = overlay_of(store, base, new, disk)
    state = compress(STATE, 12, base.state if number > 1 else b"")
    about = {"size": len(state), "raw": len(STATE), "sha256": hashlib.sha256(state).hexdigest()}
    data = resigned(
        Made(made.manifest, [*made.parts[:2], state, *made.parts[3:]]),
        store,
        {"format": number, "state": about},
    )
    path = store.root / "old"
    path.write_bytes(data)
    overlay = Overlay(FileSource(path), store.keys)
    assert overlay.state(base.state) == STATE
    assert np.array_equal(rebuilt(store, overlay)[0], new)
