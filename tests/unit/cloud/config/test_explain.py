from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from skerry.cloud.config.explain import HIDDEN, explain
from skerry.common.errors import ConfigError, NotFoundError

Layers = Mapping[str, Sequence[Path]]

FILES = {
    "nova/00-skerry.conf": "[DEFAULT]\ntransport_url = rabbit://hunter2\n[libvirt]\nvirt_type = qemu\n"
    "[pci]\ndevice_spec = one\n[service_user]\nusername = nova\n",
    "nova/50-site.conf": "[LIBVIRT]\nvirt_type = lxc\nvirt_type = kvm\n[pci]\ndevice_spec = two\n"
    "[service_user]\nuser_name = other\n",
    "cinder/00-skerry.conf": "[DEFAULT]\nenabled_backends = fast\n[fast]\nlvm_type = thin\n",
}


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    names = ("00-skerry.conf", "50-site.conf")
    return {service: [tmp_path / service / name for name in names] for service in ("nova", "cinder")}


@pytest.mark.parametrize(
    "name",
    [
        "nova/libvirt/virt_type",
        "nova.libvirt.virt_type",
        "libvirt/virt_type",
        "nova/virt_type",
        "virt_type",
        "virt-type",
    ],
)
def test_names_of_one_option(name: str, layers: Layers) -> None:
    found = explain(name, layers)
    assert (found.service, found.group, found.option) == ("nova", "libvirt", "virt_type")


CANDIDATES = [
    ("debug", ["cinder/DEFAULT/debug", "nova/DEFAULT/debug"]),
    (
        "placement/auth_url",
        ["nova/placement/auth_url", "neutron/placement/auth_url", "placement/keystone_authtoken/auth_url"],
    ),
    ("DEFAULT/transport_url", ["heat/DEFAULT/transport_url"]),
    ("lvm_type", ["cinder/backend_defaults/lvm_type", "cinder/fast/lvm_type"]),
]


@pytest.mark.parametrize(("name", "some"), CANDIDATES)
def test_a_name_of_several_options_gives_them_all(name: str, some: list[str], layers: Layers) -> None:
    found = explain(name, layers)
    assert set(some) <= set(found.candidates)
    assert found.render().splitlines()[0] == f"'{name}' is the name of {len(found.candidates)} options:"


def test_the_last_file_and_its_last_line_win(layers: Layers) -> None:
    found = explain("nova/libvirt/virt_type", layers)
    assert (found.value, found.default, found.allowed[0]) == ("kvm", "kvm", "kvm")
    assert [(s.layer, s.line, s.value, s.in_force) for s in found.settings] == [
        ("00-skerry.conf", 4, "qemu", False),
        ("50-site.conf", 2, "lxc", False),
        ("50-site.conf", 3, "kvm", True),
    ]
    text = found.render()
    assert "50-site.conf:3 to kvm (in force)" in text and "00-skerry.conf:4 to qemu (overridden)" in text


def test_repeated_options_add_up(layers: Layers) -> None:
    found = explain("nova/pci/device_spec", layers)
    assert found.value == ["one", "two"]
    assert all(setting.in_force for setting in found.settings)


def test_a_deprecated_name_in_a_later_file_wins(layers: Layers) -> None:
    found = explain("nova/service_user/username", layers)
    assert found.value == "other"
    assert found.settings[-1].name == "[service_user] user_name"
    assert "[service_user] user_name" in found.deprecated_names


def test_secrets_are_hidden(layers: Layers) -> None:
    found = explain("nova/transport_url", layers)
    assert (found.secret, found.value, found.group) == (True, HIDDEN, "DEFAULT")
    assert "hunter2" not in found.render() + json.dumps(found.to_dict())


def test_sections_named_by_operators(layers: Layers) -> None:
    found = explain("cinder/fast/lvm_type", layers)
    assert (found.value, found.settings[0].line, found.default) == ("thin", 4, "auto")


def test_an_option_that_is_set_nowhere_has_its_default() -> None:
    found = explain("neutron/ovn/ovn_nb_connection", {})
    assert found.value == found.default and not found.settings
    assert json.loads(json.dumps(found.to_dict()))["default"] == found.default


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("virttype", "nova/libvirt/virt_type"),
        ("nova/libvirt/virt_typ", "nova/libvirt/virt_type"),
        ("nova/libvrt/virt_type", "nova/libvirt/virt_type"),
        ("a/b/c/d", "service/section/option"),
        ("", "service/section/option"),
    ],
)
def test_an_unknown_name_gives_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(NotFoundError, match=nearest):
        explain(name, {})


def test_a_broken_layer_is_named(tmp_path: Path) -> None:
    (tmp_path / "50-site.conf").write_text("debug = 1\n")
    with pytest.raises(ConfigError, match=r"50-site\.conf:1"):
        explain("nova/debug", {"nova": [tmp_path / "50-site.conf"]})
