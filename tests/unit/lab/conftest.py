"""A small lab, and its state."""

from __future__ import annotations

import pytest

from skerry.lab.model import LabFile, parse
from skerry.lab.state import Cable, LabState, Shape

LAB = """
name = "small"
host = [{name = "h1"}, {name = "h2"}]
switch = [{name = "tor"}, {name = "core", kind = "ovs"}, {name = "edge"}]
[[link]]
ends = ["h1:eth0", "tor"]
addresses = ["10.77.0.1/24", "fd00::1/64"]
rate = "10mbit"
loss = "10%"
[[link]]
ends = ["h2:eth0", "core"]
addresses = ["10.77.0.2/24"]
[[link]]
name = "trunk"
ends = ["tor", "core"]
[[link]]
ends = ["tor", "edge"]
[[link]]
ends = ["h1:direct", "h2:direct"]
"""


@pytest.fixture
def lab() -> LabFile:
    return parse(LAB, "lab.toml")


@pytest.fixture
def state(lab: LabFile) -> LabState:
    return LabState(
        file=lab,
        cables={
            link.key: Cable(number=n, link=link, made="ab", shape=Shape()) for n, link in enumerate(lab.link)
        },
        numbers={"h1": 0, "h2": 1},
    )
