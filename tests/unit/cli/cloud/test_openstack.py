"""The words of the client, and whose they are."""

from __future__ import annotations

import pytest

from skerry.cli.cloud.openstack import split
from skerry.cli.parser import parse
from skerry.common.errors import UsageError


@pytest.mark.parametrize(
    ("line", "name", "words"),
    [
        ("server list", None, ["server", "list"]),
        ("--as ann server list", "ann", ["server", "list"]),
        ("--as=ann server list", "ann", ["server", "list"]),
        ("server list --as ann", None, ["server", "list", "--as", "ann"]),
        ("", None, []),
    ],
)
def test_a_person_is_named_first(line: str, name: str | None, words: list[str]) -> None:
    assert split(parse(["openstack", *line.split()]).passed) == (name, words)


def test_nobody_is_named() -> None:
    with pytest.raises(UsageError, match="needs the name"):
        split(["--as"])
