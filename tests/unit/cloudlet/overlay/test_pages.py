"""Pages and their contents."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.cloudlet.overlay.pages import PAGE, nonzero


@given(st.lists(st.sampled_from([0, 1, 255]), min_size=0, max_size=200))
@settings(max_examples=30, deadline=None)
def test_zeros_are_seen(content: list[int]) -> None:
    pages = np.zeros((len(content), PAGE), np.uint8)
    pages[:, -1] = content
    assert nonzero(pages).tolist() == [byte != 0 for byte in content]
