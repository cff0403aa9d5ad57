"""Upstream's own judgement: tempest's smoke tests, a stack of heat's, objects of swift's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kit import Cloud

STACK = """
heat_template_version: 2021-04-16
resources:
  port:
    type: OS::Neutron::Port
    properties: {network: private}
  server:
    type: OS::Nova::Server
    properties:
      image: tiny
      flavor: m1.nano
      networks: [{port: {get_resource: port}}]
outputs:
  address: {value: {get_attr: [server, first_address]}}
"""


@pytest.mark.timeout(1500)
def test_tempest_passes_its_smoke_tests(cloud: Cloud) -> None:
    done = cloud.run("verify", "--json", check=False, timeout=1400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["passed"] > 80


@pytest.mark.timeout(600)
def test_heat_comes_makes_a_stack_and_goes(cloud: Cloud) -> None:
    settings = cloud.root / "etc/skerry/cloud.toml"
    before = settings.read_text()
    cloud.run("up", "--with", "heat", timeout=300)
    template = cloud.host.folder / "stack.yaml"
    template.write_text(STACK)
    openstack = ("openstack", "stack")
    cloud.run(*openstack, "create", "--wait", "--template", str(template), "pair", timeout=180)
    shown = cloud.run(*openstack, "output", "show", "pair", "address", "-f", "value", "-c", "output_value")
    address = shown.stdout.strip()
    listed = cloud.run("openstack", "server", "list", "-f", "value", "-c", "Networks").stdout
    assert address and address in listed
    cloud.run(*openstack, "delete", "--wait", "--yes", "pair", timeout=180)
    settings.write_text(before)
    cloud.run("up", timeout=300)
    assert not [name for name in cloud.status() if "heat" in name]
    assert "heat" not in cloud.run("openstack", "catalog", "list", "-f", "value", "-c", "Name").stdout


@pytest.mark.timeout(600)
def test_swift_comes_keeps_objects_and_goes(cloud: Cloud) -> None:
    settings = cloud.root / "etc/skerry/cloud.toml"
    before = settings.read_text()
    cloud.run("up", "--with", "swift", timeout=300)
    data = cloud.host.folder / "object"
    data.write_bytes(bytes(range(256)) * 4096)
    cloud.run("openstack", "container", "create", "shelf")
    cloud.run("openstack", "object", "create", "--name", "thing", "shelf", str(data))
    back = cloud.host.folder / "back"
    cloud.run("openstack", "object", "save", "--file", str(back), "shelf", "thing")
    assert back.read_bytes() == data.read_bytes()
    cloud.host.run(["kill", "-9", str(cloud.status()["swift-object-server"]["pid"])])
    cloud.all_ready(20)
    assert "thing" in cloud.run("openstack", "object", "list", "shelf", "-f", "value").stdout
    settings.write_text(before)
    cloud.run("up", timeout=300)
    assert not [name for name in cloud.status() if "swift" in name]
    cloud.run("up", "--with", "swift", timeout=300)
    back.unlink()
    cloud.run("openstack", "object", "save", "--file", str(back), "shelf", "thing")
    assert back.read_bytes() == data.read_bytes(), "what was kept is there again"
    cloud.run("openstack", "container", "delete", "--recursive", "shelf")
    settings.write_text(before)
    cloud.run("up", timeout=300)
