"""The reference in docs/ is what the code generates."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.support import CHECKOUT

from skerry.cli.develop import reference
from skerry.cli.verbs import VERBS

PAGES = reference.pages()


@pytest.mark.parametrize("name", PAGES)
def test_page_is_current(name: str) -> None:
    path = CHECKOUT / "docs/reference" / name
    assert path.read_text() == PAGES[name], "write it again: python -m skerry.cli.develop.reference"


def test_pages_do_not_depend_on_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    monkeypatch.setenv("SKERRY_ENV", str(tmp_path / "env"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert reference.pages() == PAGES
    assert not [name for name, text in PAGES.items() if "/tmp" in text or "/env/" in text]


def test_every_verb_and_every_section_has_its_place() -> None:
    for verb in VERBS:
        assert f"## skerry {verb.name}\n" in PAGES["commands.md"]
    for heading in ("[external]", "[private]", "[sizes]", "[[host]]"):
        assert f"## {heading}\n" in PAGES["cloud-toml.md"]
