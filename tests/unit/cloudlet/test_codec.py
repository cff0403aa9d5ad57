"""Overlays are exact, whatever pages change; and whatever is done to their bytes, they are exact or refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.cloudlet import index as indexes
from skerry.cloudlet import manifest as manifests
from skerry.cloudlet.base import Base, seal
from skerry.cloudlet.encode import Changes, Made, Sources, finder, make, plan
from skerry.cloudlet.errors import BadBaseError, BadOverlayError, UntrustedError
from skerry.cloudlet.index import Index, Limits, PageMap, Segments
from skerry.cloudlet.machine import Machine
from skerry.cloudlet.pages import PAGE, Pages, differing, digests, nonzero, write_sparse
from skerry.cloudlet.reader import FileSource, Overlay
from skerry.cloudlet.rebuild import Rebuild
from skerry.cloudlet.segments import compress, decompress, pack, unpack
from skerry.cloudlet.store import Store
from skerry.common.errors import NotFoundError

MACHINE = Machine(memory_mib=1)
MEMORY, DISK = 256, 300  # pages
STATE = b"devices" * 100


def image(random: np.random.Generator, pages: int) -> Pages:
    """Pages of which some are zero, some the same, and the rest random."""
    pool = random.integers(0, 256, (40, PAGE), np.uint8)
    pool[:8] = 0
    return pool[random.integers(0, 40, pages)].copy()


def changed(random: np.random.Generator, old: Pages, other: Pages) -> Pages:
    new = old.copy()
    for number in random.permutation(len(new))[: random.integers(0, len(new))]:
        kind = random.integers(0, 5)
        if kind == 0:
            new[number] = 0
        elif kind == 1:
            new[number] = other[random.integers(0, len(other))]
        elif kind == 2:
            new[number] = new[random.integers(0, len(new))]
        elif kind == 3:
            new[number, random.integers(0, PAGE)] ^= 1
        else:
            new[number] = random.integers(0, 256, PAGE, np.uint8)
    return new


def base_of(store: Store, memory: Pages, disk: Pages, name: str = "base") -> Base:
    with store.work() as folder:
        built = folder / "base"
        built.mkdir()
        write_sparse(built / "memory", memory)
        write_sparse(built / "disk", disk)
        seal(built, name, MACHINE, STATE)
        return store.keep_base(built)


def changes(old: Pages, new: Pages) -> Changes:
    numbers = np.flatnonzero(differing(old, new)).astype(np.uint32)
    return Changes(numbers, new[numbers])


def overlay_of(
    store: Store, base: Base, memory: Pages, disk: Pages, *parents: Overlay, **more: object
) -> Made:
    below = [
        finder(digests(Rebuild(parent, store).overlay.literals(Rebuild(parent, store).index)))
        for parent in parents
    ]
    sources = Sources(base.finder("disk"), base.finder("memory"), below)
    chosen = plan(changes(base.memory, memory), changes(base.disk, disk), sources, **more)  # type: ignore[arg-type]
    return make(
        chosen,
        STATE,
        name="app",
        base=base.id,
        machine=MACHINE,
        disk_pages=DISK,
        keys=store.keys,
        parents=[parent.manifest.id for parent in parents],
        level=1,
    )


def kept(store: Store, made: Made) -> Overlay:
    with store.work() as folder:
        return Overlay(FileSource(store.keep_overlay(made.parts, made.manifest.id, folder)), store.keys)


def rebuilt(store: Store, overlay: Overlay) -> tuple[Pages, Pages]:
    rebuild = Rebuild(overlay, store)
    memory, disk = rebuild.base.memory.copy(), rebuild.base.disk.copy()
    for piece in rebuild.pieces():
        (disk if piece.disk else memory)[piece.numbers] = piece.content
    return memory, disk


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_hundred_random_machines_come_back_bit_by_bit(store: Store) -> None:
    random = np.random.default_rng(1)
    memory, disk = image(random, MEMORY), image(random, DISK)
    base = base_of(store, memory, disk)
    for number in range(100):
        new_memory, new_disk = (
            changed(random, memory, disk),
            changed(random, disk, new_memory_or(memory, random)),
        )
        touched = random.permutation(MEMORY)[:20].astype(np.uint32)
        made = overlay_of(store, base, new_memory, new_disk, warm_memory=touched)
        overlay = kept(store, made)
        got_memory, got_disk = rebuilt(store, overlay)
        assert np.array_equal(got_memory, new_memory) and np.array_equal(got_disk, new_disk), number
        store.remove(store.overlay_path(overlay.manifest.id))


def new_memory_or(memory: Pages, random: np.random.Generator) -> Pages:
    return changed(random, memory, memory)


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
    assert chosen.warm == 3
    assert np.array_equal(chosen.literals[:3], memory[touched])


def test_each_content_is_carried_once(store: Store) -> None:
    zero = np.zeros((MEMORY, PAGE), np.uint8)
    base = base_of(store, zero, np.zeros((DISK, PAGE), np.uint8))
    memory, disk = np.full((MEMORY, PAGE), 7, np.uint8), np.full((DISK, PAGE), 7, np.uint8)
    assert Rebuild(kept(store, overlay_of(store, base, memory, disk)), store).index.segments.literals == 1


# -- hostile bytes --------------------------------------------------------------------------------------


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
            Overlay(FileSource(path), store.keys).state()
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
        {"format": 2},
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


def test_bombs_do_not_go_off() -> None:
    bomb = compress(bytes(1 << 26))
    with pytest.raises(ValueError, match="claims to be"):
        decompress(bomb, PAGE)
    with pytest.raises(ValueError, match="damaged"):
        decompress(bomb[: len(bomb) // 2], 1 << 26)


NUMBERS = st.lists(st.integers(0, 2**32 - 1), max_size=40, unique=True).map(sorted)


@given(NUMBERS, NUMBERS, st.data())
@settings(max_examples=60, deadline=None)
def test_indexes_come_back_as_they_were(memory: list[int], disk: list[int], data: st.DataObject) -> None:
    def page_map(pages: list[int]) -> PageMap:
        size = len(pages)
        kinds = data.draw(st.lists(st.integers(1, 2), min_size=size, max_size=size))
        refs = data.draw(st.lists(st.integers(0, 2**32 - 1), min_size=size, max_size=size))
        return PageMap(np.array(pages, np.uint32), np.array(kinds, np.uint8), np.array(refs, np.uint32))

    hashes = np.arange(64, dtype=np.uint8).reshape(2, 32)
    index = Index(
        page_map(memory),
        page_map(disk),
        Segments(np.array([9, 7], np.uint32), np.array([2, 3], np.uint32), hashes),
    )
    every = 1 << 32
    again = indexes.unpack(index.pack(), Limits(every, every, every, every))
    assert again.pack() == index.pack()


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_no_index(data: bytes) -> None:
    try:
        indexes.unpack(data, Limits(10, 10, 10, 10))
    except ValueError:
        return
    # What passes can only be an index of nothing but segments.
    assert struct.unpack_from("<III", data)[0] * 40 <= len(data)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_segments_come_back_as_they_were(content: list[int], cut: int) -> None:
    pages = np.repeat(np.array(content, np.uint8), PAGE).reshape(-1, PAGE)
    cuts = [(at, min(at + cut, len(pages))) for at in range(0, len(pages), cut)]
    blobs, table = pack(pages, cuts, 1)
    again = np.concatenate([unpack(blob, table, number) for number, blob in enumerate(blobs)])
    assert np.array_equal(again, pages)


@given(st.lists(st.sampled_from([0, 1, 255]), min_size=0, max_size=200))
@settings(max_examples=30, deadline=None)
def test_zeros_are_seen(content: list[int]) -> None:
    pages = np.zeros((len(content), PAGE), np.uint8)
    pages[:, -1] = content
    assert nonzero(pages).tolist() == [byte != 0 for byte in content]


# -- the store ------------------------------------------------------------------------------------------


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


def test_what_a_killed_verb_left_is_swept_away_and_a_live_ones_is_not(store: Store) -> None:
    left = store.root / "work/tmpleft"
    left.mkdir()
    (left / "disk").write_bytes(b"half")
    with store.work() as alive:
        (alive / "disk").write_bytes(b"half")
        assert not left.exists()
        store.sweep()
        assert (alive / "disk").exists()
    assert list((store.root / "work").iterdir()) == []


def test_secrets_are_nobody_elses(store: Store) -> None:
    store.keys.own()
    assert (store.root / "keys/own").stat().st_mode & 0o777 == 0o600
    assert (store.root / "keys").stat().st_mode & 0o777 == 0o700


def test_the_key_stays(store: Store) -> None:
    first = store.keys.public()
    assert store.keys.public() == first
    assert [path.name for path in (store.root / "keys").iterdir()] == ["own"]
