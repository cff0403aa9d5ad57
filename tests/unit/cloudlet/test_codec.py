"""Overlays are exact, whatever pages change; and whatever is done to their bytes, they are exact or refused."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.random_machines import (
    DISK,
    MACHINE,
    MEMORY,
    STATE,
    base_of,
    changed,
    changes,
    image,
    kept,
    overlay_of,
    page,
    rebuilt,
)

from skerry.cloudlet.errors import BadBaseError, BadOverlayError, UntrustedError
from skerry.cloudlet.overlay import index as indexes
from skerry.cloudlet.overlay import manifest as manifests
from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.encode import Changes, Made, Sources, plan
from skerry.cloudlet.overlay.index import SEGMENT_PAGES, Index, Limits, PageMap, Segments
from skerry.cloudlet.overlay.pages import PAGE, nonzero
from skerry.cloudlet.overlay.reader import FileSource, Overlay
from skerry.cloudlet.overlay.rebuild import Rebuild
from skerry.cloudlet.overlay.segments import (
    Areas,
    Cut,
    Unpacker,
    compress,
    compress_lzma,
    cut,
    decompress,
    decompress_lzma,
    pack,
    unpack,
)
from skerry.cloudlet.overlay.store import Store
from skerry.common.errors import NotFoundError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


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


def test_only_what_is_far_from_the_working_set_has_a_dictionary() -> None:
    areas = Areas(warm=300, close=1000, memory=9000, near=20000, files=31000, total=31100)
    pieces = cut(areas)
    assert [piece.first for piece in pieces] == [0, *(piece.end for piece in pieces[:-1])]
    assert pieces[-1].end == areas.total
    for piece in pieces:
        first, end = piece.dictionary
        assert (end > first) == (piece.first in (areas.near, areas.near + SEGMENT_PAGES))
        # The first pieces unpack fast. The last 100 pages are not worth a dictionary of thousands.
        assert piece.small == (piece.first >= areas.close and end == first)
    assert not any(piece.small or any(piece.dictionary) for piece in cut(Areas(0, 0, 0, 0, 0, 9000)))


def test_bombs_do_not_go_off() -> None:
    bomb = compress(bytes(1 << 26))
    with pytest.raises(ValueError, match="claims to be"):
        decompress(bomb, PAGE)
    with pytest.raises(ValueError, match="damaged"):
        decompress(bomb[: len(bomb) // 2], 1 << 26)
    bomb = compress_lzma(bytes(1 << 26), thorough=False)
    with pytest.raises(ValueError, match="not that of"):
        decompress_lzma(bomb, PAGE)
    with pytest.raises(ValueError, match="not that of"):
        decompress_lzma(bomb[: len(bomb) // 2], 1 << 26)


@given(st.integers(1, 6), st.booleans(), st.data())
@settings(max_examples=100, deadline=None)
def test_what_is_packed_by_lzma_comes_back_or_is_refused(
    count: int, thorough: bool, data: st.DataObject
) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    content = np.concatenate([page(random) for _ in range(count)]).tobytes()
    packed = compress_lzma(content, thorough)
    assert decompress_lzma(packed, len(content)) == content
    for size in (len(content) - PAGE, len(content) - 1, len(content) + 1, len(content) + PAGE):
        with pytest.raises(ValueError):
            decompress_lzma(packed, max(size, 1))
    for other in (packed[:-1], packed + b"\0", packed + packed, b""):
        with pytest.raises(ValueError):
            decompress_lzma(other, len(content))
    bent = bytearray(packed)
    bent[data.draw(st.integers(0, len(bent) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    noise = data.draw(st.binary(max_size=200))
    for hostile in (bytes(bent), noise, b"\x01\xff\xff" + noise, b"\xe0\x00\x00\x00\x40\x5d" + noise):
        try:
            assert len(decompress_lzma(hostile, len(content))) == len(content)
        except ValueError:
            pass


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
    cuts = [Cut(at, min(at + cut, len(pages))) for at in range(0, len(pages), cut)]
    blobs, table = pack(pages, cuts, 1)
    again = np.concatenate([unpack(blob, table, number) for number, blob in enumerate(blobs)])
    assert np.array_equal(again, pages)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_segments_with_dictionaries_come_back_in_any_order(data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    pool = random.integers(0, 256, (6, PAGE), np.uint8)
    floats = np.sin(np.arange(PAGE // 4 * 6)).astype(np.float32).view(np.uint8).reshape(6, PAGE)
    pages = np.concatenate([pool, floats])[random.integers(0, 12, 40)]
    ends = sorted({*data.draw(st.lists(st.integers(1, 39), max_size=8)), 40})
    cuts = []
    for first, end in zip([0, *ends[:-1]], ends, strict=True):
        low = data.draw(st.integers(0, first))
        cuts.append(Cut(first, end, (low, data.draw(st.integers(low, first))), data.draw(st.booleans())))
    blobs, table = pack(pages, cuts, data.draw(st.sampled_from([1, 9])))
    unpacker, again = Unpacker(table), np.empty_like(pages)
    for number in data.draw(st.permutations(range(len(cuts)))):
        for each in (*unpacker.missing(number), number):
            if not unpacker.there(each):
                again[cuts[each].first : cuts[each].end] = unpacker.unpack(each, blobs[each])
        assert unpacker.missing(number) == []
    assert np.array_equal(again, pages) and unpacker.kept == 0
    every = 1 << 32
    nothing = PageMap(np.empty(0, np.uint32), np.empty(0, np.uint8), np.empty(0, np.uint32))
    index = Index(nothing, nothing, table)
    assert indexes.unpack(index.pack(), Limits(every, every, every, every)).pack() == index.pack()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dictionary": [0, 3], "lengths": [0, 1]}, "not before"),
        ({"dictionary": [0, 0], "lengths": [0, 3]}, "not before"),
        ({"dictionary": [1, 0], "lengths": [1, 0]}, "not before"),
        ({"dictionary": [0, 2**32 - 1], "lengths": [0, 2]}, "not before"),
        ({"kinds": [0, 4]}, "unknown kind"),
        ({"kinds": [0, 2], "lengths": [0, 1]}, "LZMA has a dictionary"),
        ({"kinds": [0, 3], "lengths": [0, 1]}, "LZMA has a dictionary"),
        ({"pages": [indexes.SEGMENT_PAGES + 1, 1], "kinds": [1, 0]}, "no pages or more"),
        ({"pages": [8000] * 8, "dictionary": [0] * 8, "lengths": [0] * 7 + [24577]}, "more than 24576"),
    ],
    ids=str,
)
def test_dictionaries_are_checked(change: dict[str, list[int]], why: str) -> None:
    count = max(map(len, change.values()))
    columns = {"sizes": [10] * count, "pages": [2] * count, "kinds": [1] * count, **change}
    table = Segments(
        *(
            np.array(columns.get(name, [0] * count), np.uint8 if name == "kinds" else np.uint32)
            if name != "hashes"
            else np.zeros((count, 32), np.uint8)
            for name in Segments.__dataclass_fields__
        )
    )
    nothing = PageMap(np.empty(0, np.uint32), np.empty(0, np.uint8), np.empty(0, np.uint32))
    with pytest.raises(ValueError, match=why):
        indexes.unpack(Index(nothing, nothing, table).pack(), Limits(10, 10, 10, 10))


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
