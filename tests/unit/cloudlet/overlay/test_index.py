"""The index of an overlay: it comes back as it was, and damaged bytes are no index."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.cloudlet.overlay import index as indexes
from skerry.cloudlet.overlay.index import Index, Limits, PageMap, Segments
from skerry.cloudlet.overlay.pages import Numbers

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

    def column(name: str) -> Numbers:
        return np.array(columns.get(name, [0] * count), np.uint32)

    table = Segments(
        column("sizes"),
        column("pages"),
        np.zeros((count, 32), np.uint8),
        column("dictionary"),
        column("lengths"),
        column("kinds").astype(np.uint8),
    )
    nothing = PageMap(np.empty(0, np.uint32), np.empty(0, np.uint8), np.empty(0, np.uint32))
    with pytest.raises(ValueError, match=why):
        indexes.unpack(Index(nothing, nothing, table).pack(), Limits(10, 10, 10, 10))
