"""Upstream's own judgement: tempest's smoke tests; and the components that not every cloud has, each at its work."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.support.browser import logged_in

if TYPE_CHECKING:
    from tests.support.cloud import Cloud, Within

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
SIGNALS = """
heat_template_version: 2021-04-16
resources:
  net: {type: OS::Neutron::Net}
  subnet: {type: OS::Neutron::Subnet, properties: {network: {get_resource: net}, cidr: 10.99.0.0/24}}
  router: {type: OS::Neutron::Router, properties: {external_gateway_info: {network: public}}}
  way: {type: OS::Neutron::RouterInterface, properties: {router: {get_resource: router}, subnet: {get_resource: subnet}}}
  token: {type: OS::Heat::WaitConditionHandle}
  signed: {type: AWS::CloudFormation::WaitConditionHandle}
  hosts: {type: AWS::CloudFormation::WaitConditionHandle}
  server:
    type: OS::Nova::Server
    depends_on: way
    properties:
      image: tiny
      flavor: m1.nano
      networks: [{network: {get_resource: net}}]
      user_data_format: RAW
      user_data:
        str_replace:
          params: {REPORT: {get_attr: [token, curl_cli]}, SIGNED: {get_resource: signed}, HOST: {get_param: host}}
          template: |
            #!/bin/sh
            REPORT --data-binary '{"status": "SUCCESS", "data": "by token"}'
            stacks=http://HOST:8003/v1/0123456789abcdef0123456789abcdef/stacks
            closed=$(timeout 9 wget -O /dev/null $stacks 2>&1 | tail -n 1)
            nc -w 9 HOST 5000 </dev/null && closed="$closed, but keystone answers"
            body='{"Status": "SUCCESS", "Reason": "up", "UniqueId": "1", "Data": "'"$closed"'"}'
            curl -X PUT -H 'Content-Type:' --data-binary "$body" 'SIGNED'
  by_token: {type: OS::Heat::WaitCondition, properties: {handle: {get_resource: token}, timeout: 900}}
  by_signature: {type: AWS::CloudFormation::WaitCondition, properties: {Handle: {get_resource: signed}, Timeout: 900}}
  by_host: {type: AWS::CloudFormation::WaitCondition, properties: {Handle: {get_resource: hosts}, Timeout: 900}}
parameters: {host: {type: string}}
outputs:
  token: {value: {get_attr: [by_token, data]}}
  signature: {value: {get_attr: [by_signature, Data]}}
  host: {value: {get_attr: [by_host, Data]}}
  place: {value: {get_resource: hosts}}
"""


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    "which",
    [("--regex", r"^tempest\.api\.\S*smoke"), pytest.param((), marks=pytest.mark.long)],
    ids=["of the APIs", "all"],
)
def test_tempest_passes_its_smoke_tests(cloud: Cloud, which: tuple[str, ...]) -> None:
    done = cloud.run("verify", "--json", *which, check=False, timeout=1400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["passed"] > 75


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    "which",
    [
        ("ansible", "load", "--servers", "3"),
        ("openstacksdk", "--regex", r"functional\.(image|placement)\."),
        pytest.param(("libcloud", "load"), marks=pytest.mark.long),
    ],
    ids=["programs", "a sample of the library's tests", "libcloud, and a load of twenty"],
)
def test_clients_work_and_leave_nothing_behind(cloud: Cloud, which: tuple[str, ...]) -> None:
    done = cloud.run("verify", "--json", "--clients", *which, check=False, timeout=1400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sum(suite["passed"] for suite in json.loads(done.stdout)["suites"]) > 3


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
def test_heat_makes_a_stack(cloud: Cloud, within: Within) -> None:
    template = cloud.host.folder / "stack.yaml"
    template.write_text(STACK)
    openstack = ("openstack", "stack")
    cloud.run(*openstack, "create", "--wait", "--template", str(template), "pair", timeout=180)
    shown = cloud.run(*openstack, "output", "show", "pair", "address", "-f", "value", "-c", "output_value")
    address = shown.stdout.strip()
    listed = cloud.run("openstack", "server", "list", "-f", "value", "-c", "Networks").stdout
    assert address and address in listed
    with logged_in(cloud, within) as browser:
        browser.open("/project/stacks/")
        browser.find("#stacks tbody tr", "pair")
        browser.open("/project/resource_types/")
        browser.find("#resource_types tbody tr", "OS::Nova::Server")
        browser.open("/project/template_generator/")
        browser.find("canvas")  # where resources are drawn: its scripts and pictures are there
    cloud.run(*openstack, "delete", "--wait", "--yes", "pair", timeout=180)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("features")
def test_guests_and_the_host_signal_to_a_members_stack(cloud: Cloud, within: Within) -> None:
    template = cloud.host.folder / "signals.yaml"
    template.write_text(SIGNALS)
    cloud.run("user", "create", "stacy")

    def stack(*words: str) -> str:
        command = ("openstack", "--as", "stacy", "--os-cloud", "skerry-password", "stack", *words)
        return str(cloud.run(*command, timeout=180).stdout.strip())

    def output(name: str) -> str:
        return stack("output", "show", "signals", name, "-f", "value", "-c", "output_value")

    stack("create", "--template", str(template), "--parameter", "host=172.24.4.1", "signals")
    try:
        place = within(120, "there is an address for signals", lambda: output("place"))
        assert place.startswith("http://172.24.4.1:8003/v1/waitcondition/arn%3Aopenstack%3Aheat%3A%3A")
        other = place.replace("Signature=", "Signature=x")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            put(other, {"Status": "SUCCESS", "Reason": "-", "UniqueId": "0", "Data": "forged"})
        put(place, {"Status": "SUCCESS", "Reason": "-", "UniqueId": "0", "Data": "from the host"})
        status = ("show", "signals", "-f", "value", "-c", "stack_status")
        within(400, "the stack is complete", lambda: stack(*status) != "CREATE_IN_PROGRESS")
        assert stack(*status) == "CREATE_COMPLETE", stack("show", "signals")
        assert json.loads(output("token")) == {"1": "by token"}
        assert json.loads(output("host")) == {"0": "from the host"}
        (closed,) = json.loads(output("signature")).values()
        assert closed.endswith("403 Forbidden"), "signals are all that a guest reaches"
    finally:
        stack("delete", "--wait", "--yes", "signals")
        cloud.run("user", "delete", "stacy")


def put(url: str, body: dict[str, str]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": ""}, method="PUT")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


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


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("features")
def test_the_librarys_own_tests_pass(cloud: Cloud) -> None:
    done = cloud.run("verify", "--json", "--clients", "openstacksdk", check=False, timeout=3500)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout
    assert json.loads(done.stdout)["suites"][0]["passed"] > 200


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
