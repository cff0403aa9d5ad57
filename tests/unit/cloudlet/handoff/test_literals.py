"""Pages that the destination keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skerry.cloudlet.handoff.batches import NO_PAGES
from skerry.cloudlet.handoff.literals import Literals
from skerry.cloudlet.overlay.pages import PAGE


def test_more_pages_than_are_allowed_are_refused(tmp_path: Path) -> None:
    kept = Literals(tmp_path, 3)
    kept.add(np.full((2, PAGE), 7, np.uint8))
    assert kept.pages()[1, 5] == 7
    with pytest.raises(ValueError, match="more than 3"):
        kept.add(np.zeros((2, PAGE), np.uint8))
    kept.add(NO_PAGES)
    assert kept.count == 2 and list(tmp_path.iterdir()) == []
