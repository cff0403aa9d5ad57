"""Words that have a better one do not occur in what people read: see docs/contributing/writing.md."""

from __future__ import annotations

import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import CHECKOUT

WORDS = tomllib.loads((Path(__file__).parent / "words.toml").read_text())["words"]
# Others' words, or words that are about words; records of decisions stay as they were written.
LEFT_OUT = ("docs/contributing/writing.md", "docs/decisions/", "docs/reference/")
OK = "words: ok"
CODE = re.compile(r"``[^`]*``|`[^`]*`|\{[^{}]*\}")  # and the expressions in an f-string
LITERAL = (
    (tokenize.STRING, tokenize.FSTRING_MIDDLE) if hasattr(tokenize, "FSTRING_MIDDLE") else (tokenize.STRING,)
)


def prose_of_python(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of docstrings, of other strings with more than two words, and of comments."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT or (token.type in LITERAL and len(token.string.split()) > 2):
            yield from enumerate(token.string.splitlines(), token.start[0])


def prose_of_markdown(path: Path) -> Iterator[tuple[int, str]]:
    fenced = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fenced ^= line.startswith("```")
        if not fenced and not line.startswith("    "):
            yield number, line


def prose_of_shell(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if " # " in f" {line}":
            yield number, line


READERS = {".py": prose_of_python, ".md": prose_of_markdown, ".sh": prose_of_shell}


def findings(path: Path) -> list[str]:
    found = []
    lines = path.read_text().splitlines()
    for number, text in READERS[path.suffix](path):
        plain = CODE.sub("", text)
        for word in WORDS:
            match = re.search(rf"\b(?:{word['word']})\b", plain, re.IGNORECASE)
            if match and OK not in lines[number - 1]:
                found.append(f"{path.relative_to(CHECKOUT)}:{number}: '{match[0]}': {word['instead']}")
    return found


def texts() -> list[Path]:
    roots = ("src", "tests", "docs", "benchmarks", "changes")
    paths = [path for root in roots for path in (CHECKOUT / root).rglob("*") if path.suffix in READERS]
    return [*paths, *CHECKOUT.glob("*.md")]


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word["instead"].split(",")[0])
def test_a_word_has_another(word: dict[str, str]) -> None:
    assert set(word) == {"word", "instead"}
    assert not re.fullmatch(word["word"], word["instead"])


def test_words() -> None:
    paths = [path for path in texts() if not str(path.relative_to(CHECKOUT)).startswith(LEFT_OUT)]
    assert len(paths) > 20
    assert [line for path in paths for line in findings(path)] == []
