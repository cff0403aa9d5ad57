"""Which link is meant."""

from __future__ import annotations

import pytest

from skerry.common.errors import NotFoundError
from skerry.lab import faults
from skerry.lab.state import LabState


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("h1:eth0", "h1:eth0 - tor"),
        ("trunk", "tor - core"),
        ("tor--core", "tor - core"),
        ("core--tor", "tor - core"),
        ("tor - edge", "tor - edge"),
        ("edge", "tor - edge"),
        ("h2:direct", "h1:direct - h2:direct"),
    ],
)
def test_which_link_is_meant(state: LabState, text: str, key: str) -> None:
    assert faults.find_link(state, text).link.key == key


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("h9", "no link 'h9'", "There are: h1:eth0, h2:eth0, trunk, tor--edge, h1:direct"),
        ("tor", "several links", "Name one of: h1:eth0, trunk, tor--edge"),
        ("h1", "several links", "Name one of: h1:eth0, h1:direct"),
    ],
)
def test_a_link_that_is_not_named(state: LabState, text: str, said: str, remedy: str) -> None:
    with pytest.raises(NotFoundError, match=said) as caught:
        faults.find_link(state, text)
    assert caught.value.remedy == remedy
