"""Which back end a cloud gets, and where systemd cannot be it."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.cloud.model.layout import Layout
from skerry.cloud.supervise.choice import supervisor_for
from skerry.cloud.supervise.supervisord import Direct
from skerry.cloud.supervise.systemd import Systemd
from skerry.common.errors import ConfigError


@pytest.mark.parametrize(
    ("root", "wanted", "has_systemd", "kind"),
    [
        ("/", "auto", True, Systemd),
        ("/", "systemd", True, Systemd),
        ("/", "auto", False, Direct),
        ("/", "direct", True, Direct),
        ("/srv", "auto", True, Direct),
        ("/srv", "direct", True, Direct),
    ],
)
def test_choice(root: str, wanted: str, has_systemd: bool, kind: type) -> None:
    assert type(supervisor_for(Layout.at(Path(root)), wanted, has_systemd=has_systemd)) is kind


@pytest.mark.parametrize(
    ("root", "has_systemd", "why"),
    [("/srv", True, "units are one per machine"), ("/", False, "this machine has no systemd")],
)
def test_where_systemd_cannot_be(root: str, has_systemd: bool, why: str) -> None:
    """The units of two clouds would have the same names: one would stop the other's."""
    with pytest.raises(ConfigError, match=why):
        supervisor_for(Layout.at(Path(root)), "systemd", has_systemd=has_systemd)
