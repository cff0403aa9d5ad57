"""The command's lines."""

from __future__ import annotations

import pytest

from skerry.cli.parser import parse
from skerry.common.errors import UsageError


def test_the_command_line() -> None:
    args = parse(["lab", "fault", "rate", "h1:eth0", "10mbit", "--for", "500ms"])
    assert (args.kind, args.link, args.value, args.duration) == ("rate", "h1:eth0", 10_000_000, 0.5)
    args = parse(["lab", "exec", "h1", "--", "ls", "-l", "--", "x"])
    # Whether the first dashes are still there depends on the version of argparse.
    assert args.command[-4:] == ["ls", "-l", "--", "x"]
    with pytest.raises(UsageError):
        parse(["lab", "fault", "loss", "h1:eth0", "half"])
