"""What Skerry does to a machine, as far as it can be told without one: model, units."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from skerry.cloud.components.rabbitmq import _rabbit_hash
from skerry.cloud.model.cloud_toml import Cloud, documented_toml, load
from skerry.cloud.model.layout import Layout
from skerry.cloud.steps.files import _differences
from skerry.cloud.supervise.probes import TcpProbe
from skerry.cloud.supervise.service import File, Service
from skerry.cloud.supervise.systemd import Systemd
from skerry.common.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nmae = 'x'", ["unknown option 'nmae'", "name"]),
        ("[sizes]\napi_workers = 0", ["sizes.api_workers", "greater than or equal to 1"]),
        ("[sizes]\nworker = 1", ["unknown option 'sizes.worker'", "workers"]),
        ("hypervisor = 'xen'", ["hypervisor", "'auto', 'kvm' or 'qemu'"]),
        ("listen = '0.0.0.0'", ["without TLS", "loopback"]),
        ("[external]\ncidr = '10.20.0.0/16'", ["overlap"]),
        ("[external]\ncidr = '10.0.0.0/30'", ["too small"]),
        ("[[host]]\nname = 'a'\n[[host]]\nname = 'a'", ["same name"]),
        ("name = [\n1 2]", ["not TOML", "line 2"]),
    ],
)
def test_a_wrong_cloud_toml_names_file_option_and_what_is_allowed(
    tmp_path: Path, text: str, says: list[str]
) -> None:
    path = tmp_path / "cloud.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(path)
    assert error.value.exit_code == 3
    for words in (str(path), *says):
        assert words in str(error.value)


def test_the_documented_cloud_toml_is_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "cloud.toml"
    path.write_text(documented_toml())
    assert load(path) == Cloud()
    wanted = [
        line[1:]
        for line in documented_toml().splitlines()
        if line.startswith("#") and not line.startswith("# ")
    ]
    path.write_text("\n".join(wanted))
    assert load(path) == Cloud()


def test_plan_names_changed_options_and_hides_secrets(tmp_path: Path) -> None:
    old = "[DEFAULT]\nworkers = 1\n[database]\nconnection = mysql://a:old@b/c\n"
    new = "[DEFAULT]\nworkers = 2\n[database]\nconnection = mysql://a:new@b/c\n"
    shown = [str(change) for change in _differences(File(tmp_path / "x.conf", new, secret=True), old)]
    assert shown == [
        f"{tmp_path}/x.conf [DEFAULT]workers: 1 -> 2",
        f"{tmp_path}/x.conf [database]connection: (secret) -> (another secret)",
    ]


def test_a_changed_file_is_another_fingerprint(tmp_path: Path) -> None:
    def service(content: str) -> Service:
        return Service("x", ("/bin/x",), TcpProbe(1), files=(File(tmp_path / "x", content),))

    assert service("a").fingerprint == service("a").fingerprint != service("b").fingerprint
    assert json.loads(service("a").spec())["fingerprint"] == service("a").fingerprint


def test_rabbitmq_takes_the_password_hash() -> None:
    """The published example of RabbitMQ's documentation: password test12, salt 908D C60A, sha256."""
    import base64
    import hashlib

    salt = bytes.fromhex("908DC60A")
    expected = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
    assert base64.b64encode(salt + hashlib.sha256(salt + b"test12").digest()).decode() == expected
    ours = base64.b64decode(_rabbit_hash("test12"))
    assert ours[4:] == hashlib.sha256(ours[:4] + b"test12").digest()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_generated_units_are_accepted_by_systemd(tmp_path: Path) -> None:
    (tmp_path / "var/log/skerry").mkdir(parents=True)
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "skerry").write_text("#!/bin/sh\n")
    (checkout / "skerry").chmod(0o755)
    python = tmp_path / "env/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    backend = Systemd(Layout(root=tmp_path, env=tmp_path / "env", checkout=checkout))
    service = Service(
        "nova-api", ("/bin/true",), TcpProbe(1), title="servers (nova) API", keeps_children=True
    )
    units = {"skerry.service": backend.boot_unit(), "skerry-nova-api.service": backend.unit(service)}
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in units)],
        capture_output=True,
        text=True,
    )
    ours = [line for line in checked.stderr.splitlines() if "skerry" in line]
    assert ours == []
