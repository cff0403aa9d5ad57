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


def test_one_that_has_written_nothing() -> None:
    (finding,) = booting("web", "u1", 3.0, "\n", translated=False)
    assert "started 3 s ago, its console shows nothing yet" in finding.what and finding.evidence == ()


def test_one_that_has_booted() -> None:
    assert list(booting("web", "u1", 42.4, KERNEL + "web login: ", translated=True)) == []
