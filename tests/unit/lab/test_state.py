"""The state of a lab on disk."""

from __future__ import annotations

from pathlib import Path

from skerry.lab.state import LabState, Places


def test_state_survives_being_written(tmp_path: Path, state: LabState) -> None:
    places = Places("small", tmp_path)
    places.write_state(state)
    assert places.read_state() == state
    places.state.write_text(places.state.read_text().replace('"cables"', '"wires"'))
    assert places.read_state() == state, "as an older version wrote it"
    places.state.write_text("{")
    assert places.read_state() is None
