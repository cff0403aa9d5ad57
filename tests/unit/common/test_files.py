"""Files that are whole after a power cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.common.files import flush, write_atomically


def test_a_folder_is_flushed(tmp_path: Path) -> None:
    write_atomically(tmp_path / "one", "1\n")
    flush(tmp_path)
    flush(tmp_path / "one")
    with pytest.raises(FileNotFoundError):
        flush(tmp_path / "none")
