"""Commands that make the links of a lab."""

from __future__ import annotations

from skerry.lab.links import veth
from skerry.lab.model import LabFile
from skerry.lab.state import FABRIC, LabState


def test_a_cable_between_a_host_and_a_bridge(lab: LabFile, state: LabState) -> None:
    cable = state.cables["h1:eth0 - tor"].model_copy(update={"made": ""})
    first, second = veth.create(lab, cable, {"h1": 11, FABRIC: 99})
    assert first.startswith(
        f"link add name eth0 address {lab.mac_of('h1:eth0', cable.link)} netns 11 type veth"
    )
    assert " peer name w_0a " in first and first.endswith("netns 99")
    assert second.startswith("link add name s_0b ") and " netns 99 type veth" in second
    joined = veth.join(lab, cable)
    assert "link set dev w_0a master w_0 alias h1:eth0" in joined
    assert "link set dev s_0b master tor up" in joined
    assert veth.finish(lab, cable, "h1") == [
        "address add 10.77.0.1/24 dev eth0",
        "address add fd00::1/64 dev eth0 nodad",
        "link set dev eth0 up",
    ]


def test_a_cable_to_open_vswitch_ends_in_its_network(lab: LabFile, state: LabState) -> None:
    cable = state.cables["tor - core"]
    lines = veth.create(lab, cable, {"core": 12, FABRIC: 99})
    assert " netns 99 type veth" in lines[0] and " netns 12 type veth" in lines[1]
    assert veth.sides_at(lab, cable, {"core"}) == "b" and veth.sides_at(lab, cable, {FABRIC}) == "a"
    assert veth.finish(lab, cable, "core") == ["link set dev s_2b up"]


def test_one_side_only(lab: LabFile, state: LabState) -> None:
    cable = state.cables["h1:direct - h2:direct"].model_copy(update={"made": "b"})
    assert len(veth.create(lab, cable, {"h1": 11, FABRIC: 99}, "a")) == 1
    assert not [line for line in veth.join(lab, cable, "a") if "type bridge" in line]
    assert veth.carrier(cable) == ["link set dev w_4b down"]
    assert veth.remove(cable, "a") == ["link delete dev w_4a"]
