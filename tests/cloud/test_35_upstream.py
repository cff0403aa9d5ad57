"""Upstream's own judgement: tempest's smoke tests; and the components that not every cloud has, each at its work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.cloud import Cloud

FEATURES = ("heat", "swift", "barbican")
KEY_MANAGER = r"barbican_tempest_plugin\.tests\.api\.test_secrets\."
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


@pytest.fixture(scope="module")
def features(whole: Cloud) -> Iterator[None]:
    """All components that not every cloud has, added to the cloud and removed again."""
    settings = whole.root / "etc/skerry/cloud.toml"
    before = settings.read_text()
    whole.run("up", *(word for name in FEATURES for word in ("--with", name)), timeout=400)
    yield
    if settings.read_text() != before:
        settings.write_text(before)
        whole.run("up", timeout=300)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("features")
def test_heat_makes_a_stack(cloud: Cloud) -> None:
    template = cloud.host.folder / "stack.yaml"
    template.write_text(STACK)
    openstack = ("openstack", "stack")
    cloud.run(*openstack, "create", "--wait", "--template", str(template), "pair", timeout=180)
    shown = cloud.run(*openstack, "output", "show", "pair", "address", "-f", "value", "-c", "output_value")
    address = shown.stdout.strip()
    listed = cloud.run("openstack", "server", "list", "-f", "value", "-c", "Networks").stdout
    assert address and address in listed
    cloud.run(*openstack, "delete", "--wait", "--yes", "pair", timeout=180)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("features")
def test_barbican_keeps_a_secret_and_passes_upstreams_tests(cloud: Cloud) -> None:
    store = ("openstack", "secret", "store", "--name", "word", "--payload", "open sesame")
    place = cloud.run(*store, "-f", "value", "-c", "Secret href").stdout.strip()
    assert place.startswith("http://127.0.0.1:9311/v1/secrets/")
    shown = cloud.run("openstack", "secret", "get", place, "--payload", "-f", "value").stdout
    assert shown.strip() == "open sesame"
    cloud.run("openstack", "secret", "delete", place)
    done = cloud.run("verify", "--json", "--regex", KEY_MANAGER, check=False, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    assert json.loads(done.stdout)["passed"] >= 5


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("features")
def test_swift_keeps_objects_also_while_it_is_not_there(cloud: Cloud) -> None:
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
    settings = cloud.root / "etc/skerry/cloud.toml"
    with_all = settings.read_text()
    settings.write_text(with_all.replace('"swift", ', ""))
    cloud.run("up", timeout=300)
    assert in_cloud(cloud) == {"heat", "barbican"}
    settings.write_text(with_all)
    cloud.run("up", timeout=400)
    back.unlink()
    cloud.run("openstack", "object", "save", "--file", str(back), "shelf", "thing")
    assert back.read_bytes() == data.read_bytes(), "what was kept is there again"
    cloud.run("openstack", "container", "delete", "--recursive", "shelf")
    cloud.run("doctor", timeout=180)  # ends with 9 when anything is wrong


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("features")
def test_what_the_file_names_no_more_is_gone(cloud: Cloud) -> None:
    settings = cloud.root / "etc/skerry/cloud.toml"
    settings.write_text(settings.read_text().replace('"heat", "swift", "barbican"', ""))
    cloud.run("up", timeout=300)
    assert in_cloud(cloud) == set()


def in_cloud(cloud: Cloud) -> set[str]:
    """Which of these components have services that run and a place in the catalogue."""
    catalog = cloud.run("openstack", "catalog", "list", "-f", "value", "-c", "Name").stdout.split()
    running = {name for name in FEATURES if any(service.startswith(name) for service in cloud.status())}
    assert running == {name for name in FEATURES if name in catalog}
    assert ("heat-cfn" in catalog) == ("heat" in running)
    return running
