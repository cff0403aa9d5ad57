"""Markdown of generated pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MADE = "<!-- Made by 'python -m skerry.cli.develop.reference': change the code, not this file. -->"


def page(title: str, *blocks: str) -> str:
    return "\n\n".join([f"# {title}", MADE, *blocks]) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`" if text else ""
