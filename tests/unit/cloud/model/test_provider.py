"""Provider networks: what is taken, and what is refused, with what works in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.samples.provider import OFFICE

from skerry.cloud.model.cloud_toml import Cloud, load
from skerry.common.errors import ConfigError


def loaded(folder: Path, text: str) -> Cloud:
    (folder / "cloud.toml").write_text(text)
    return load(folder / "cloud.toml")


def test_a_flat_network_and_vlans_of_one_interface(tmp_path: Path) -> None:
    flat = OFFICE.replace("office", "lab").replace("vlan = 120", "")
    office, lab, other = loaded(
        tmp_path, OFFICE + flat + OFFICE.replace("office", "store").replace("120", "7")
    ).provider
    assert (office.vlan, lab.vlan, other.vlan) == (120, 0, 7)
    assert office.bridge == lab.bridge == "br-eth2"


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('"office"', '"public"', "'up' makes a network of this name"),
        ('"office"', '"my office"', "such as 'my-office'"),
        ("120", "4095", "less than or equal to 4094"),
        ('"eth2"', '"enp0s31f6u1u3"', "1 to 12 characters"),
        ('"eth2"', '"ex"', "the switch has a bridge br-ex of its own"),
        ('gateway = "192.0.2.1"', 'gateway = "192.0.3.1"', "such as '192.0.2.1'"),
        ('gateway = "192.0.2.1"', 'gateway = "192.0.2.255"', "no address of a machine"),
        ('gateway = "192.0.2.1"', 'gateway = "192.0.2.150"', "is in the pool"),
        ('["192.0.2.100", "192.0.2.199"]', '["192.0.2.100"]', "first and the last"),
        ('["192.0.2.100", "192.0.2.199"]', '["192.0.2.199", "192.0.2.100"]', "first and the last"),
        ('cidr = "192.0.2.0/24"', "", "cidr"),
        ("[[provider]]", OFFICE + "[[provider]]", "two provider networks have the name"),
        (
            "[[provider]]",
            OFFICE.replace("office", "lab") + "[[provider]]",
            "are VLAN 120 of interface 'eth2'",
        ),
        ("[[provider]]", '[[host]]\nexternal_interface = "eth2"\n[[provider]]', "to another bridge"),
    ],
)
def test_what_cannot_be(tmp_path: Path, before: str, after: str, why: str) -> None:
    assert before in OFFICE
    with pytest.raises(ConfigError, match=re_of(why)):
        loaded(tmp_path, OFFICE.replace(before, after, 1))


def re_of(text: str) -> str:
    return text.replace("(", r"\(").replace("[", r"\[")
