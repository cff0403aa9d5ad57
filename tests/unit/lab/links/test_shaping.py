"""What the faults of a link add up to."""

from __future__ import annotations

import pytest

from skerry.lab.links import shaping
from skerry.lab.state import Fault, LabState, Shape


def test_faults_add_up(state: LabState) -> None:
    cable = state.cables["h1:eth0 - tor"]
    key = cable.link.key
    assert shaping.wanted(state, cable) == Shape(rate=10_000_000, loss=0.1)
    state.faults = [
        Fault(number=1, kind="rate", link=key, value=5e6),
        Fault(number=2, kind="rate", link=key, value=20e6),
        Fault(number=3, kind="loss", link=key, value=0.5),
        Fault(number=4, kind="delay", link=key, value=0.01),
        Fault(number=5, kind="delay", link=key, value=0.02),
        Fault(number=6, kind="cut", link="tor - core"),
    ]
    shape = shaping.wanted(state, cable)
    assert (shape.rate, shape.cut) == (5_000_000, False)
    assert shape.loss == pytest.approx(0.55) and shape.delay == pytest.approx(0.03)
    state.faults += [Fault(number=7, kind="silent", link=key), Fault(number=8, kind="cut", link=key)]
    shape = shaping.wanted(state, cable)
    assert shape.cut and shape.loss == 1
