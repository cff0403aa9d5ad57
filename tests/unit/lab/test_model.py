"""Lab files: what is right, and how what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import CHECKOUT

from skerry.common.errors import ConfigError
from skerry.lab.model import HostPart, LabFile, LinkPart, SwitchPart, load, parse

GOOD = """
name = "small"
[[host]]
name = "h1"
[[host]]
name = "h2"
uuid = "00000000-0000-0000-0000-0000000000a2"
[[switch]]
name = "tor"
[[switch]]
name = "spine"
kind = "ovs"
[[link]]
ends = ["h1:eth0", "tor"]
addresses = ["10.77.0.1/24", "fd00:77::1/64"]
[[link]]
ends = ["h2:eth0", "spine"]
addresses = ["10.77.0.2/24"]
mac = "02:00:00:00:00:02"
rate = "10mbit"
delay = "20ms"
loss = "1.5%"
[[link]]
name = "trunk"
ends = ["tor", "spine"]
"""

HOSTS = 'name = "x"\nhost = [{name = "h1"}, {name = "h2"}]\n'
SWITCHES = 'switch = [{name = "a"}, {name = "b"}, {name = "c"}]\n'

# What is written, and what the error must name.
WRONG = {
    "no name": ('host = [{name = "h1"}]', ["option 'name' is missing"]),
    "no host": ('name = "x"\nhost = []', ["there is no host"]),
    "bad name": ('name = "x"\nhost = [{name = "H_1"}]', ["host[H_1].name", '"H_1"']),
    "unknown option": (HOSTS + "speed = 3", ["unknown option 'speed'", "known here: name, outside"]),
    "unknown option of a host": (
        'name = "x"\nhost = [{name = "h1", memory = 3}]',
        ["unknown option 'host[h1].memory'", "known here: name, uuid"],
    ),
    "folder that is none": (
        'name = "x"\nhost = [{name = "h1", shared = ["/a/../b", "tmp"]}]',
        ["host[h1].shared[2]", '"tmp"'],
    ),
    "root that is none": ('name = "x"\nhost = [{name = "h1", root = "/"}]', ["host[h1].root", '"/"']),
    "two of a name": ('name = "x"\nhost = [{name = "a"}]\nswitch = [{name = "a"}]', ["'a' is given twice"]),
    "two of a uuid": (
        'name = "x"\nhost = [{name = "a", uuid = "00000000-0000-0000-0000-0000000000a2"},'
        '{name = "b", uuid = "00000000-0000-0000-0000-0000000000a2"}]',
        ["00a2 is given twice", "its own"],
    ),
    "unknown host": (HOSTS + SWITCHES + 'link = [{ends = ["h9:e", "a"]}]', ["no host 'h9'", "h1, h2"]),
    "unknown switch": (HOSTS + SWITCHES + 'link = [{ends = ["h1:e", "z"]}]', ["no switch 'z'", "a, b, c"]),
    "host without interface": (HOSTS + SWITCHES + 'link = [{ends = ["h1", "a"]}]', ["'h1:eth0'"]),
    "long interface": (
        HOSTS + SWITCHES + 'link = [{ends = ["h1:a-very-long-name", "a"]}]',
        ["'a-very-long-name' cannot be the name"],
    ),
    "interface of the way outside": (
        HOSTS + SWITCHES + 'link = [{ends = ["h1:outside", "a"]}]',
        ["'outside' cannot be the name"],
    ),
    "one end": (HOSTS + 'link = [{ends = ["h1:e"]}]', ["link[h1:e].ends"]),
    "interface twice": (
        HOSTS + SWITCHES + 'link = [{ends = ["h1:e", "a"]}, {ends = ["h1:e", "b"]}]',
        ["'h1:e' is the end of two links"],
    ),
    "address twice": (
        HOSTS
        + SWITCHES
        + 'link = [{ends = ["h1:e", "a"], addresses = ["10.0.0.1/24"]},'
        + '{ends = ["h2:e", "a"], addresses = ["10.0.0.1/25"]}]',
        ["10.0.0.1 is given twice", "h1:e and h2:e"],
    ),
    "address without prefix": (
        HOSTS + SWITCHES + 'link = [{ends = ["h1:e", "a"], addresses = ["10.0.0.1"]}]',
        ["'10.0.0.1' of h1:e", "10.77.0.1/24"],
    ),
    "address of a switch": (
        HOSTS + SWITCHES + 'link = [{ends = ["h1:e", "a"], addresses = {a = ["10.0.0.1/24"]}}]',
        ["'addresses' names 'a'"],
    ),
    "addresses of nobody": (
        HOSTS + SWITCHES + 'link = [{ends = ["a", "b"], addresses = ["10.0.0.1/24"]}]',
        ["a - b", "needs a host end"],
    ),
    "mac twice": (
        HOSTS
        + SWITCHES
        + 'link = [{ends = ["h1:e", "a"], mac = "02:00:00:00:00:0A"},'
        + '{ends = ["h2:e", "a"], mac = "02:00:00:00:00:0a"}]',
        ["02:00:00:00:00:0a is given twice"],
    ),
    "mac of a group": (
        HOSTS + SWITCHES + 'link = [{ends = ["h1:e", "a"], mac = "01:00:00:00:00:0a"}]',
        ["'01:00:00:00:00:0a' of h1:e"],
    ),
    "loop": (
        HOSTS + SWITCHES + 'link = [{ends = ["a", "b"]}, {ends = ["b", "c"]}, {ends = ["c", "a"]}]',
        ["link c - a closes a loop"],
    ),
    "loop on one switch": (HOSTS + SWITCHES + 'link = [{ends = ["a", "a"]}]', ["link a - a closes a loop"]),
    "rate": (
        HOSTS + SWITCHES + 'link = [{ends = ["h1:e", "a"], rate = "fast"}]',
        ["link[h1:e - a].rate", "'fast' is not a rate", "10mbit"],
    ),
    "delay": (HOSTS + SWITCHES + 'link = [{ends = ["h1:e", "a"], delay = "20"}]', ["'20' is not a time"]),
    "loss": (HOSTS + SWITCHES + 'link = [{ends = ["h1:e", "a"], loss = "500%"}]', ["'500%' is not a share"]),
    "link named as a host": (
        HOSTS + SWITCHES + 'link = [{name = "h1", ends = ["h1:e", "a"]}]',
        ["the link name 'h1' is that of something else"],
    ),
}


def lab(text: str) -> LabFile:
    return parse(text, "lab.toml")


def test_a_good_file() -> None:
    good = lab(GOOD)
    first, second, _ = good.link
    assert first.addresses == {"h1:eth0": ("10.77.0.1/24", "fd00:77::1/64")}
    assert (second.rate, second.delay, second.loss) == (10_000_000, 0.02, 0.015)
    assert good.mac_of("h2:eth0", second) == "02:00:00:00:00:02"
    assert good.address_of("h2") == "10.77.0.2"


def test_what_is_not_given_follows_from_the_names() -> None:
    good, again = lab(GOOD), lab(GOOD)
    assert good.uuid_of("h1") == again.uuid_of("h1") != good.uuid_of("h2")
    assert str(good.uuid_of("h2")).endswith("a2")
    mac = good.mac_of("h1:eth0", good.link[0])
    assert mac == again.mac_of("h1:eth0", again.link[0]) and mac.startswith("02:")
    other = lab(GOOD.replace('"small"', '"other"'))
    assert other.uuid_of("h1") != good.uuid_of("h1")


def test_it_survives_being_written_as_json() -> None:
    good = lab(GOOD)
    assert LabFile.model_validate_json(good.model_dump_json()) == good


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case: str) -> None:
    text, names = WRONG[case]
    with pytest.raises(ConfigError) as caught:
        lab(text)
    said = str(caught.value)
    assert said.startswith("lab.toml: ")
    for name in names:
        assert name in said
    assert caught.value.remedy == "Fix lab.toml and run this again."
    assert caught.value.exit_code == 3


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "torn.toml").write_text("name = ")
    with pytest.raises(ConfigError, match=r"torn\.toml: not TOML"):
        load(tmp_path / "torn.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not text"):
        load(tmp_path / "binary.toml")


def test_every_option_is_described() -> None:
    text = (CHECKOUT / "docs/how-to/lab.md").read_text()
    for part in (LabFile, HostPart, SwitchPart, LinkPart):
        for name in set(part.model_fields) - {"host", "switch", "link"}:
            assert f"`{name}`" in text, f"{part.__name__}.{name}"
