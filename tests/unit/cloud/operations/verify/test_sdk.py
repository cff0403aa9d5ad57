"""Which of openstacksdk's tests are left out."""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from skerry.cloud.operations.verify.sdk import KNOWN, TESTS


def names() -> Iterator[str]:
    """The tests of the library that is installed, as they are called."""
    packages = Path(sysconfig.get_path("purelib"))
    for path in sorted((packages / TESTS).rglob("test_*.py")):
        module = str(path.relative_to(packages).with_suffix("")).replace("/", ".")
        for kind in ast.parse(path.read_text()).body:
            if isinstance(kind, ast.ClassDef):
                for test in kind.body:
                    if isinstance(test, ast.FunctionDef) and test.name.startswith("test"):
                        yield f"{module}.{kind.name}.{test.name}"


def test_what_is_left_out_is_there_and_has_a_reason() -> None:
    there = list(names())
    assert len(there) > 500
    lines = [line for line in KNOWN.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 10
    for line in lines:
        pattern, reason = line.split(" # ")
        assert reason and any(re.search(pattern, name) for name in there), line
