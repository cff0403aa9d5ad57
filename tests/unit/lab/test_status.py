"""What 'lab status' shows."""

from __future__ import annotations

from pathlib import Path

from skerry.lab.state import Fault, LabState, Node, Places
from skerry.lab.status import render, status


def test_status_of_a_lab_that_lost_its_hosts(tmp_path: Path, state: LabState) -> None:
    places = Places("small", tmp_path)
    state.faults = [Fault(number=3, kind="loss", link="tor - core", value=0.05)]
    places.write_state(state)
    places.write_node(Node(name="h1", kind="host", lab="small", pid=2**30, started=1))
    shown = status("small", tmp_path)
    assert shown["complete"] is False and shown["hosts"][0]["on"] is False
    text = render([shown])
    assert "lab small  (not complete)" in text
    assert "fault    3: loss tor - core 5%, until it is healed" in text
    assert "There is no lab" in render([])
