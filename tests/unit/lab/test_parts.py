"""Rates and times, commands for cables, names in files, and which link is meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import CHECKOUT

from skerry.cli.parser import parse as parse_words
from skerry.common.errors import NotFoundError, UsageError
from skerry.lab import faults, units
from skerry.lab.hosts import disks
from skerry.lab.links import shaping, veth
from skerry.lab.model import HostPart, LabFile, LinkPart, SwitchPart, parse
from skerry.lab.state import FABRIC, Fault, Node, Places, Shape, State, Wire
from skerry.lab.status import render, status

LAB = """
name = "small"
host = [{name = "h1"}, {name = "h2"}]
switch = [{name = "tor"}, {name = "core", kind = "ovs"}, {name = "edge"}]
[[link]]
ends = ["h1:eth0", "tor"]
addresses = ["10.77.0.1/24", "fd00::1/64"]
rate = "10mbit"
loss = "10%"
[[link]]
ends = ["h2:eth0", "core"]
addresses = ["10.77.0.2/24"]
[[link]]
name = "trunk"
ends = ["tor", "core"]
[[link]]
ends = ["tor", "edge"]
[[link]]
ends = ["h1:direct", "h2:direct"]
"""


@pytest.fixture
def lab() -> LabFile:
    return parse(LAB, "lab.toml")


@pytest.fixture
def state(lab: LabFile) -> State:
    return State(
        file=lab,
        wires={
            link.key: Wire(number=n, link=link, made="ab", shape=Shape()) for n, link in enumerate(lab.link)
        },
        numbers={"h1": 0, "h2": 1},
    )


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        (units.rate, "10mbit", 10_000_000),
        (units.rate, "1.5 gbit", 1_500_000_000),
        (units.rate, "64kbit", 64_000),
        (units.seconds, "20ms", 0.02),
        (units.seconds, "5s", 5.0),
        (units.seconds, "2m", 120.0),
        (units.seconds, "250us", 0.00025),
        (units.share, "5%", 0.05),
        (units.share, "0.1%", 0.001),
    ],
)
def test_numbers(convert: object, text: str, value: float) -> None:
    assert convert(text) == pytest.approx(value)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("convert", "text"),
    [
        (units.rate, "10"),
        (units.rate, "10MB"),
        (units.rate, "1kbit"),
        (units.rate, "-1mbit"),
        (units.seconds, "5"),
        (units.seconds, "5 hours"),
        (units.share, "101%"),
        (units.share, "0.05"),
    ],
)
def test_wrong_numbers(convert: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        convert(text)  # type: ignore[operator]


def test_a_cable_between_a_host_and_a_bridge(lab: LabFile, state: State) -> None:
    wire = state.wires["h1:eth0 - tor"].model_copy(update={"made": ""})
    first, second = veth.create(lab, wire, {"h1": 11, FABRIC: 99})
    assert first.startswith(
        f"link add name eth0 address {lab.mac_of('h1:eth0', wire.link)} netns 11 type veth"
    )
    assert " peer name w_0a " in first and first.endswith("netns 99")
    assert second.startswith("link add name s_0b ") and " netns 99 type veth" in second
    joined = veth.join(lab, wire)
    assert "link set dev w_0a master w_0 alias h1:eth0" in joined
    assert "link set dev s_0b master tor up" in joined
    assert veth.finish(lab, wire, "h1") == [
        "address add 10.77.0.1/24 dev eth0",
        "address add fd00::1/64 dev eth0 nodad",
        "link set dev eth0 up",
    ]


def test_a_cable_to_open_vswitch_ends_in_its_network(lab: LabFile, state: State) -> None:
    wire = state.wires["tor - core"]
    lines = veth.create(lab, wire, {"core": 12, FABRIC: 99})
    assert " netns 99 type veth" in lines[0] and " netns 12 type veth" in lines[1]
    assert veth.sides_at(lab, wire, {"core"}) == "b" and veth.sides_at(lab, wire, {FABRIC}) == "a"
    assert veth.finish(lab, wire, "core") == ["link set dev s_2b up"]


def test_one_side_only(lab: LabFile, state: State) -> None:
    wire = state.wires["h1:direct - h2:direct"].model_copy(update={"made": "b"})
    assert len(veth.create(lab, wire, {"h1": 11, FABRIC: 99}, "a")) == 1
    assert not [line for line in veth.join(lab, wire, "a") if "type bridge" in line]
    assert veth.carrier(wire) == ["link set dev w_4b down"]
    assert veth.remove(wire, "a") == ["link delete dev w_4a"]


def test_faults_add_up(state: State) -> None:
    wire = state.wires["h1:eth0 - tor"]
    key = wire.link.key
    assert shaping.wanted(state, wire) == Shape(rate=10_000_000, loss=0.1)
    state.faults = [
        Fault(number=1, kind="rate", link=key, value=5e6),
        Fault(number=2, kind="rate", link=key, value=20e6),
        Fault(number=3, kind="loss", link=key, value=0.5),
        Fault(number=4, kind="delay", link=key, value=0.01),
        Fault(number=5, kind="delay", link=key, value=0.02),
        Fault(number=6, kind="cut", link="tor - core"),
    ]
    shape = shaping.wanted(state, wire)
    assert (shape.rate, shape.cut) == (5_000_000, False)
    assert shape.loss == pytest.approx(0.55) and shape.delay == pytest.approx(0.03)
    state.faults += [Fault(number=7, kind="silent", link=key), Fault(number=8, kind="cut", link=key)]
    shape = shaping.wanted(state, wire)
    assert shape.cut and shape.loss == 1


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("h1:eth0", "h1:eth0 - tor"),
        ("trunk", "tor - core"),
        ("tor--core", "tor - core"),
        ("core--tor", "tor - core"),
        ("tor - edge", "tor - edge"),
        ("edge", "tor - edge"),
        ("h2:direct", "h1:direct - h2:direct"),
    ],
)
def test_which_link_is_meant(state: State, text: str, key: str) -> None:
    assert faults.find_link(state, text).link.key == key


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("h9", "no link 'h9'", "There are: h1:eth0, h2:eth0, trunk, tor--edge, h1:direct"),
        ("tor", "several links", "Say which: h1:eth0, trunk, tor--edge"),
        ("h1", "several links", "Say which: h1:eth0, h1:direct"),
    ],
)
def test_a_link_that_is_not_named(state: State, text: str, said: str, remedy: str) -> None:
    with pytest.raises(NotFoundError, match=said) as caught:
        faults.find_link(state, text)
    assert caught.value.remedy == remedy


def test_names_of_hosts(lab: LabFile) -> None:
    text = disks.hosts_file(lab, "h2", "")
    assert "10.77.0.1 h1\n10.77.0.2 h2\n" in text
    again = disks.hosts_file(lab, "h2", text + "192.0.2.1 mine\n")
    assert again == text + "192.0.2.1 mine\n"


def test_a_host_without_an_address_knows_itself() -> None:
    lonely = parse('name = "x"\nhost = [{name = "h1"}, {name = "h2"}]', "lab.toml")
    assert "127.0.1.1 h1\n" in disks.hosts_file(lonely, "h1", "")
    assert "h2" not in disks.hosts_file(lonely, "h1", "")


def test_status_of_a_lab_that_lost_its_hosts(tmp_path: Path, state: State) -> None:
    places = Places("small", tmp_path)
    state.faults = [Fault(number=3, kind="loss", link="tor - core", value=0.05)]
    places.write_state(state)
    places.write_node(Node(name="h1", kind="host", lab="small", pid=2**30, started=1))
    shown = status("small", tmp_path)
    assert shown["complete"] is False and shown["hosts"][0]["on"] is False
    text = render([shown])
    assert "lab small  (not complete)" in text
    assert "fault    3: loss tor - core 5%, until it is healed" in text
    assert "There is no lab" in render([])


def test_state_survives_being_written(tmp_path: Path, state: State) -> None:
    places = Places("small", tmp_path)
    places.write_state(state)
    assert places.read_state() == state
    places.state.write_text("{")
    assert places.read_state() is None


def test_the_command_line() -> None:
    args = parse_words(["lab", "fault", "rate", "h1:eth0", "10mbit", "--for", "500ms"])
    assert (args.kind, args.link, args.value, args.duration) == ("rate", "h1:eth0", 10_000_000, 0.5)
    args = parse_words(["lab", "exec", "h1", "--", "ls", "-l", "--", "x"])
    # Whether the first dashes are still there depends on the version of argparse.
    assert args.command[-4:] == ["ls", "-l", "--", "x"]
    with pytest.raises(UsageError):
        parse_words(["lab", "fault", "loss", "h1:eth0", "half"])


def test_every_option_is_described() -> None:
    text = (CHECKOUT / "docs/how-to/lab.md").read_text()
    for part in (LabFile, HostPart, SwitchPart, LinkPart):
        for name in set(part.model_fields) - {"host", "switch", "link"}:
            assert f"`{name}`" in text, f"{part.__name__}.{name}"
