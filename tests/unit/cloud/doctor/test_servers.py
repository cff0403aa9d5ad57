"""Servers that still boot."""

from __future__ import annotations

import pytest

from skerry.cloud.doctor.servers import booting

KERNEL = "[    0.000000] Linux version 6.1\n[    2.200000] random: crng init done\n"


@pytest.mark.parametrize("translated", [True, False])
def test_a_server_that_boots(translated: bool) -> None:
    (finding,) = booting("web", "u1", 42.4, KERNEL, translated=translated)
    assert finding.severity == "note"
    assert "server web still boots: started 42 s ago" in finding.what
    assert finding.evidence == ("[    2.200000] random: crng init done",)
    assert ("TCG" in finding.remedy) == translated and "console log show u1" in finding.remedy


@pytest.mark.parametrize("console", ["", "\n", KERNEL + "web login: "], ids=["none", "empty", "booted"])
def test_no_server_that_boots(console: str) -> None:
    assert list(booting("web", "u1", 42.4, console, translated=True)) == []
