"""Segments: how they are cut and packed, and that they come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.random_machines import (
    page,
)

from skerry.cloudlet.overlay import index as indexes
from skerry.cloudlet.overlay.index import SEGMENT_PAGES, Index, Limits, PageMap
from skerry.cloudlet.overlay.pages import PAGE
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
