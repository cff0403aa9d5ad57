"""Options of cloud.toml explained from the model; layers and their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.cloud.context import Context
from skerry.cloud.model.cloud_toml import load
from skerry.cloud.operations.options import agent_layers, cloud_option, every_problem, explain, layers
from skerry.common.errors import NotFoundError

TOML = """\
name = "island"
[sizes]
workers = 2

[[host]]
name = "rock"
roles = ["control"]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc/skerry").mkdir(parents=True)
    (tmp_path / "etc/skerry/cloud.toml").write_text(TOML)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "value", "line", "type_", "allowed"),
    [
        ("name", "island", 1, "a text", ()),
        ("sizes.workers", 2, 3, "an integer from 1 to 64", ()),
        ("sizes.api_workers", 1, 0, "an integer from 1 to 64", ()),
        ("host.roles", ["control"], 7, "a list; each item is a text", ("control", "network", "compute")),
        ("external.cidr", "172.24.4.0/24", 0, "an IPv4 network", ()),
        ("external.nat", True, 0, "true or false", ("true", "false")),
        ("supervisor", "auto", 0, "a text", ("auto", "direct", "systemd")),
    ],
)
def test_options_of_the_cloud(
    root: Path, name: str, value: object, line: int, type_: str, allowed: tuple[str, ...]
) -> None:
    path = root / "etc/skerry/cloud.toml"
    option = cloud_option(load(path), path, name.split("."))
    assert (option.value, option.line, option.type, option.allowed) == (value, line, type_, allowed)
    assert option.help and option.help in option.render()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("external.cdr", "did you mean cloud.external.cidr?"),
        ("extrenal.cidr", "did you mean cloud.external?"),
        ("name.x", "has none of its own"),
    ],
)
def test_unknown_options_of_the_cloud(root: Path, name: str, told: str) -> None:
    path = root / "etc/skerry/cloud.toml"
    with pytest.raises(NotFoundError, match="option") as error:
        cloud_option(load(path), path, name.split("."))
    assert told in str(error.value)


def test_the_layers_in_their_order(root: Path) -> None:
    found = layers(Context.at(root))
    etc = root / "etc/skerry"
    assert found["glance"] == [etc / "glance/00-skerry.conf", etc / "glance/50-site.conf"]
    assert found["nova"] == [
        etc / "nova/00-skerry.conf",
        etc / "nova/database/00-skerry.conf",
        etc / "nova/50-site.conf",
    ]
    assert agent_layers(Context.at(root))[0] == etc / "neutron/metadata-agent/00-skerry.conf"


def test_a_service_option_and_one_of_the_cloud(root: Path) -> None:
    ctx = Context.at(root)
    assert explain(ctx, "cloud.sizes.workers")[0].render().startswith("sizes.workers")
    assert "[libvirt] virt_type of nova" in explain(ctx, "nova/libvirt/virt_type")[0].render()


def test_what_only_the_metadata_agent_sets(root: Path) -> None:
    folder = root / "etc/skerry/neutron/metadata-agent"
    folder.mkdir(parents=True)
    (folder / "00-skerry.conf").write_text("[DEFAULT]\nnova_metadata_port = 18775\n")
    (answer,) = explain(Context.at(root), "neutron/nova_metadata_port")
    assert "18775" in answer.render() and "metadata-agent" in answer.render()


def test_our_own_layers_have_no_errors_and_a_site_file_may(root: Path) -> None:
    ctx = Context.at(root)
    assert [problem for problem in every_problem(ctx) if problem.level == "error"] == []
    site = root / "etc/skerry/nova/50-site.conf"
    site.parent.mkdir(parents=True)
    site.write_text("[libvirt]\nvirt_type = vmware\n")
    (problem,) = [problem for problem in every_problem(ctx) if problem.level == "error"]
    assert (problem.path, problem.line, problem.option) == (str(site), 2, "virt_type")
    site.write_text("virt_type = qemu\n")
    (problem,) = [problem for problem in every_problem(ctx) if problem.level == "error"]
    assert (problem.path, problem.line) == (str(site), 1)
