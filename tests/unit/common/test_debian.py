"""The package sources for Debian systems of one's own."""

from __future__ import annotations

import pytest

from skerry.common import debian
from skerry.common.errors import PackageError

TARGETS = """\
Packages|Debian|bookworm|http://mirror/debian/|bookworm|main
Translations|Debian|bookworm|http://mirror/debian/|bookworm|main
Packages|Debian|bookworm-security|http://mirror/security/|bookworm-security|main
Packages|Debian Backports|bookworm-backports|http://mirror/debian/|bookworm-backports|main
Packages|Somebody|bookworm|http://elsewhere/|bookworm|main
Packages|Debian|bookworm|http://mirror/debian/|bookworm|main
"""


def test_sources_are_those_of_the_release_alone() -> None:
    assert debian.parse_sources(TARGETS, "bookworm") == [
        "deb http://mirror/debian/ bookworm main",
        "deb http://mirror/security/ bookworm-security main",
    ]
    with pytest.raises(PackageError, match="no lists of Debian 'trixie'"):
        debian.parse_sources(TARGETS, "trixie")
