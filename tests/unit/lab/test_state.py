"""The state of a lab on disk."""

from __future__ import annotations

from pathlib import Path

from skerry.lab.state import Places, State


def test_state_survives_being_written(tmp_path: Path, state: State) -> None:
    places = Places("small", tmp_path)
    places.write_state(state)
    assert places.read_state() == state
    places.state.write_text("{")
    assert places.read_state() is None
